"""What does more score cost?

Spots: latency, score, interval  ->  a drawing with the Pareto front, and the pick on it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flipbook.evaluate.page.drawing import (
    Scale,
    drawing,
    height_of,
    log_scale_of,
    ruler_across,
    ruler_up,
    scale_of,
    stretched_line,
    text_at,
)
from flipbook.evaluate.page.numbers import number, quantity

HEIGHT_PX = 340
TOP_PX = 30
BOTTOM_PX = 290


@dataclass(frozen=True)
class Spot:
    """One way to see clips: what it costs and what it scores.

    Attributes:
        name: of the way, such as `8 x 256 px`.
        cost: above 0.
        is_on_front: nothing cheaper scores as much.
        is_picked, is_trained: it was chosen; the model was trained so.
    """

    name: str
    cost: float
    score: float
    low: float
    high: float
    is_on_front: bool = False
    is_picked: bool = False
    is_trained: bool = False


def spot_chart(spots: Sequence[Spot], *, title: str, description: str) -> Markup:
    """Return a drawing of scores over costs, which grow by equal ratios to the right.

    Raises:
        ValueError: there are none.
    """
    across = log_scale_of(spot.cost for spot in spots)
    up = scale_of(bound for spot in spots for bound in (spot.low, spot.high))
    parts = ruler_across(across, top=TOP_PX, bottom=BOTTOM_PX)
    lines, numbers = ruler_up(up, top=TOP_PX, bottom=BOTTOM_PX)
    parts += lines
    parts.append(text_at("score", "0", 12, kind="tick"))
    parts.append(
        text_at("milliseconds to the first word", "100%", BOTTOM_PX + 36, kind="tick", anchor="end")
    )
    front = sorted((spot for spot in spots if spot.is_on_front), key=lambda spot: spot.cost)
    if len(front) > 1:
        shares = [(across.share(spot.cost), up.share(spot.score)) for spot in front]
        parts.append(stretched_line(shares, top=TOP_PX, bottom=BOTTOM_PX, kind="front"))
    for spot in sorted(spots, key=lambda spot: spot.is_picked):  # the pick is drawn on top
        parts += _spot(spot, across, up, is_named=spot in (front[:1] + front[-1:]))
    parts += numbers
    return drawing(parts, title=title, description=description, height_px=HEIGHT_PX, kind="spots")


def _spot(spot: Spot, across: Scale, up: Scale, *, is_named: bool) -> list[Markup]:
    def height(value: float) -> float:
        return height_of(up, value, top=TOP_PX, bottom=BOTTOM_PX)

    x, y = across.percent(spot.cost), height(spot.score)
    kind = "main" if spot.is_picked else "front-spot" if spot.is_on_front else "other"
    told = f"{spot.name}: {number(spot.score)} at {quantity(spot.cost)} ms"
    parts = [
        Markup('<line class="interval {}" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
            kind, x, x, height(spot.low), height(spot.high)
        ),
        Markup(
            '<circle class="dot {}" cx="{}" cy="{:.1f}" r="6"><title>{}</title></circle>'
        ).format(kind, x, y, told),
    ]
    if spot.is_picked:
        parts.append(Markup('<circle class="picked" cx="{}" cy="{:.1f}" r="11"/>').format(x, y))
    if is_named or spot.is_picked or spot.is_trained:
        words = [spot.name]
        words += ["(picked)"] if spot.is_picked else []
        words += ["(trained so)"] if spot.is_trained else []
        is_right = across.share(spot.cost) > 0.6
        anchor, shift = ("end", -14.0) if is_right else ("start", 14.0)
        below = 20 if not spot.is_on_front else -9  # the front passes above all others
        told = " ".join(words)
        parts.append(text_at(told, x, y + below, kind="name", anchor=anchor, shift_px=shift))
    return parts
