"""How do some scores compare at a glance?

Dots: name, value, interval  ->  a drawing with a dot and a line for each

tuned                       0.712 [0.640, 0.781]
------------------o=====O=====------------------
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from flipbook.evaluate.page.drawing import Scale, drawing, ruler_across, shortened, text_at
from flipbook.evaluate.page.numbers import interval, number

ROW_PX = 42
TOP_PX = 22  # the words on the line for chance stand there
BOTTOM_PX = 22
NAME_CELLS = 22
UNIT = Scale(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


@dataclass(frozen=True)
class Dot:
    """A score between 0 and 1.

    Attributes:
        low, high: its interval, where there is one.
        before: the score of another model, drawn as a ring.
        chance: of this one alone, drawn as a short line.
        is_main: it is the one that the others are compared with.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    before: float | None = None
    chance: float | None = None
    is_main: bool = False

    @property
    def told(self) -> str:
        """Its numbers in words."""
        text = number(self.value)
        if self.low is None or self.high is None:
            return text
        return f"{text} {interval(self.low, self.high)}"


def dot_chart(
    dots: Sequence[Dot], *, title: str, description: str, chance: float | None = None
) -> Markup:
    """Return a drawing of some scores, one under the other.

    Args:
        chance: the score of random answers, drawn as a line through all.
    """
    bottom = TOP_PX + ROW_PX * len(dots)
    parts = ruler_across(UNIT, top=TOP_PX, bottom=bottom)
    if chance is not None:
        x = UNIT.percent(chance)
        anchor = "start" if chance < 0.15 else "end" if chance > 0.85 else "middle"
        parts.append(
            Markup('<line class="chance" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                x, x, TOP_PX - 4, bottom
            )
        )
        parts.append(text_at(f"chance {number(chance)}", x, 12, kind="tick", anchor=anchor))
    for place, dot in enumerate(dots):
        parts += _row(dot, TOP_PX + ROW_PX * place)
    return drawing(
        parts, title=title, description=description, height_px=bottom + BOTTOM_PX, kind="dots"
    )


def _row(dot: Dot, top: float) -> list[Markup]:
    middle = top + 30
    kind = "main" if dot.is_main else "other"
    parts = [
        text_at(shortened(dot.name, NAME_CELLS), "0", top + 16, kind=f"name {kind}"),
        text_at(dot.told, "100%", top + 16, kind="told", anchor="end"),
        Markup('<line class="track" x1="0" x2="100%" y1="{0}" y2="{0}"/>').format(middle),
    ]
    if dot.chance is not None:
        x = UNIT.percent(dot.chance)
        shape = '<line class="chance" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
        parts.append(Markup(shape).format(x, middle - 7, middle + 7))
    if dot.before is not None:
        shape = (
            '<circle class="ring" cx="{}" cy="{}" r="5"><title>before tuning {}</title></circle>'
        )
        parts.append(Markup(shape).format(UNIT.percent(dot.before), middle, number(dot.before)))
    if dot.low is not None and dot.high is not None:
        shape = '<line class="interval {}" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        ends = UNIT.percent(dot.low), UNIT.percent(dot.high)
        parts.append(Markup(shape).format(kind, *ends, middle, middle))
    shape = '<circle class="dot {}" cx="{}" cy="{}" r="5.5"><title>{}: {}</title></circle>'
    parts.append(Markup(shape).format(kind, UNIT.percent(dot.value), middle, dot.name, dot.told))
    return parts
