"""How did some numbers change from step to step?

Curves: name, (step, value) ...  ->  a drawing of lines, told apart by colour and dashes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flipbook.evaluate.page.drawing import (
    drawing,
    height_of,
    ruler_up,
    scale_of,
    stretched_line,
    text_at,
)
from flipbook.evaluate.page.numbers import quantity

HEIGHT_PX = 230
TOP_PX = 20
BOTTOM_PX = 200
MOST_CURVES = 6  # as many colours as are told apart without seeing all of them
MOST_POINTS = 400
LEFT = 0.07  # share of the width in which the numbers stand beside the curves
MOST_MARKED = 30  # points that are drawn as dots, too


@dataclass(frozen=True)
class Curve:
    """Values over steps, in the order of steps.

    Raises:
        ValueError: there are none.
    """

    name: str
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError(f"curve {self.name!r} has no points")


def curve_chart(curves: Sequence[Curve], *, title: str, description: str) -> Markup:
    """Return a drawing of at most `MOST_CURVES` curves over the same steps, upwards from 0.

    Raises:
        ValueError: there are none, or too many.
    """
    if not 1 <= len(curves) <= MOST_CURVES:
        raise ValueError(f"{len(curves)} curves in one drawing; 1 to {MOST_CURVES} can be told")
    steps = [step for curve in curves for step, _ in curve.points]
    first, last = min(steps), max(steps)
    up = scale_of((value for c in curves for _, value in c.points), from_zero=True)
    parts, numbers = ruler_up(up, top=TOP_PX, bottom=BOTTOM_PX)
    ends = {first: "start", last: "end"} if first < last else {first: "middle"}
    for step, anchor in ends.items():
        x = f"{100 * _across(step, first, last):.0f}%"
        told = f"step {quantity(step)}"
        parts.append(text_at(told, x, BOTTOM_PX + 20, kind="tick", anchor=anchor))
    for place, curve in enumerate(curves, start=1):
        points = [(_across(step, first, last), value) for step, value in thinned(curve.points)]
        shares = [(x, up.share(value)) for x, value in points]
        kind = f"curve curve-{place}"
        parts.append(stretched_line(shares, top=TOP_PX, bottom=BOTTOM_PX, kind=kind))
        if len(points) <= MOST_MARKED:
            parts += [
                _mark(x, height_of(up, y, top=TOP_PX, bottom=BOTTOM_PX), place) for x, y in points
            ]
    parts += numbers
    return drawing(parts, title=title, description=description, height_px=HEIGHT_PX, kind="curves")


def thinned(
    points: Sequence[tuple[float, float]], most: int = MOST_POINTS
) -> list[tuple[float, float]]:
    """Return at most `most` of the points, spread evenly, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(place * (len(points) - 1) / (most - 1))] for place in range(most)]


def _across(step: float, first: float, last: float) -> float:
    """Return where a step lies, as a share of the width; a single one lies in the middle."""
    share = (step - first) / (last - first) if first < last else 0.5
    return LEFT + (1 - LEFT) * share


def _mark(x: float, y: float, place: int) -> Markup:
    shape = '<circle class="mark curve-{}" cx="{:.2f}%" cy="{:.1f}" r="3"/>'
    return Markup(shape).format(place, 100 * x, y)
