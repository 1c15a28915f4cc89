"""What stands in a table of a report, whichever way it is shown?

caption, columns, rows of text -> Table -> HTML (page.html) or Markdown (`markdown.py`)
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Some rows of text under names.

    Attributes:
        caption: what it shows.
        columns: their names; the first column names the rows.
        rows: as many texts each as there are columns.
        note: how to read it, in a sentence; empty for none.
        text_columns: places of those that hold words; the others hold numbers.

    Raises:
        ValueError: a row has another number of texts than there are columns.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    text_columns: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"row {row} of {self.caption!r} for columns {self.columns}")
