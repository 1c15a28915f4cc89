"""How does a number become a place in a drawing, and a drawing a part of a page?

    values -> Scale: 0..100 percent across, ticks at round numbers
    shapes -> <svg> with a title and a description

Places across are percent and heights are px, so a drawing is as wide as the page while its letters
keep their size. Lines are drawn in a part of it that stretches.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flipbook.evaluate.page.numbers import quantity

NUM_TICKS = 4
_ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """A stretch of numbers that is drawn from one edge to the other.

    Attributes:
        low, high: at the edges.
        ticks: round numbers between them.
        is_log: equal ratios are equally far apart.

    Raises:
        ValueError: the edges are not two finite numbers, the lower first, or a logarithm of them
            is asked for and one is not above 0.
    """

    low: float
    high: float
    ticks: tuple[float, ...] = ()
    is_log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a scale from {self.low} to {self.high}")
        if self.is_log and self.low <= 0:
            raise ValueError(f"a logarithmic scale from {self.low}")

    def share(self, value: float) -> float:
        """Return where a number lies: 0.0 at the low edge, 1.0 at the high one."""
        low, high = self.low, self.high
        if self.is_log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return (value - low) / (high - low)

    def percent(self, value: float) -> str:
        """Return where a number lies across a drawing."""
        return f"{100 * self.share(value):.2f}%"


def scale_of(values: Iterable[float], *, from_zero: bool = False) -> Scale:
    """Return a scale that ends at round numbers and holds all values.

    Args:
        from_zero: it holds 0, too.

    Raises:
        ValueError: there are no values.
    """
    found = [*values, *([0.0] if from_zero else [])]
    low, high = min(found), max(found)
    if low == high:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    rough = (high - low) / NUM_TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in _ROUND_STEPS if unit * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(place * step for place in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks)


def log_scale_of(values: Iterable[float]) -> Scale:
    """Return a logarithmic scale a little wider than the values, with ticks at 1, 2, 5, 10, ...

    Raises:
        ValueError: there are no values, or one is not above 0.
    """
    found = list(values)
    low, high = min(found) / 1.25, max(found) * 1.25
    if low <= 0:
        raise ValueError(f"a logarithmic scale for {min(found)}")
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    inside = tuple(tick for tick in ticks if low <= tick <= high)
    return Scale(low, high, inside, is_log=True)


def drawing(
    parts: Iterable[Markup], *, title: str, description: str, height_px: float, kind: str
) -> Markup:
    """Return an <svg> as wide as its place.

    Args:
        title: what it is.
        description: what it shows, for people who do not see it.
        kind: a CSS class.
    """
    return Markup(
        '<svg class="chart {}" role="img" width="100%" height="{:.0f}">'
        "<title>{}</title><desc>{}</desc>{}</svg>"
    ).format(kind, height_px, title, description, Markup("").join(parts))


def text_at(
    text: str, x: str, y: float, *, kind: str = "", anchor: str = "start", shift_px: float = 0
) -> Markup:
    """Return words at a place; `anchor` says whether they start, end or have their middle there."""
    shift = Markup(' dx="{:g}"').format(shift_px) if shift_px else ""
    return Markup('<text class="{}" x="{}" y="{:.1f}" text-anchor="{}"{}>{}</text>').format(
        kind, x, y, anchor, shift, text
    )


def ruler_across(scale: Scale, *, top: float, bottom: float) -> list[Markup]:
    """Return upright lines at the ticks, and their numbers below."""
    parts = []
    for place, tick in enumerate(scale.ticks):
        x = scale.percent(tick)
        is_first = place == 0 and scale.share(tick) < 0.05
        is_last = place == len(scale.ticks) - 1 and scale.share(tick) > 0.95
        anchor = "start" if is_first else "end" if is_last else "middle"
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
                x, x, top, bottom
            )
        )
        parts.append(text_at(quantity(tick), x, bottom + 15, kind="tick", anchor=anchor))
    return parts


def ruler_up(scale: Scale, *, top: float, bottom: float) -> tuple[list[Markup], list[Markup]]:
    """Return level lines at the ticks, and their numbers, which belong on top of all else."""
    lines, numbers = [], []
    for tick in scale.ticks:
        y = height_of(scale, tick, top=top, bottom=bottom)
        lines.append(
            Markup('<line class="grid" x1="0" x2="100%" y1="{:.1f}" y2="{:.1f}"/>').format(y, y)
        )
        numbers.append(text_at(quantity(tick), "0", y - 4, kind="tick"))
    return lines, numbers


def height_of(scale: Scale, value: float, *, top: float, bottom: float) -> float:
    """Return where a number lies between the bottom and the top of a drawing, in px."""
    return bottom - scale.share(value) * (bottom - top)


def stretched_line(
    points: Sequence[tuple[float, float]], *, top: float, bottom: float, kind: str
) -> Markup:
    """Return a line through points, each a share of the width and of the height (from below)."""
    places = " ".join(f"{1000 * x:.1f},{1000 * (1 - y):.1f}" for x, y in points)
    return Markup(
        '<svg x="0" y="{:.1f}" width="100%" height="{:.1f}" viewBox="0 0 1000 1000" '
        'preserveAspectRatio="none" overflow="visible">'
        '<polyline class="{}" points="{}" vector-effect="non-scaling-stroke"/></svg>'
    ).format(top, bottom - top, kind, places)


def shortened(text: str, num_cells: int) -> str:
    """Return a text that takes at most so many letters' room; wide letters take two."""
    room = num_cells
    for place, letter in enumerate(text):
        room -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if room < 0:
            return text[:place].rstrip() + "\u2026"
    return text
