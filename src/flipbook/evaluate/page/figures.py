"""What belongs to a drawing of a report?

a drawing, the names of what is in it, the numbers behind it  ->  Figure
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from flipbook.evaluate.page.tables import Table


@dataclass(frozen=True)
class Figure:
    """A drawing, and the same in numbers.

    Attributes:
        legend: CSS class and name of what is told apart by colour or shape; empty for none.
        table: the numbers; None where they stand beside it anyway.
        note: how to read it; empty for none.
    """

    title: str
    drawing: Markup
    legend: tuple[tuple[str, str], ...] = ()
    table: Table | None = None
    note: str = ""
