"""How does a report read in a terminal, or in a page of a repository?

files of a folder  ->  report.md: the verdict and the tables of report.html, without pictures
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flipbook.data.written import write_whole
from flipbook.evaluate.file_names import TEXT_FILE
from flipbook.evaluate.page import background, confusion, costs, scores
from flipbook.evaluate.page.files import ReportFiles, read_report_files
from flipbook.evaluate.page.summary import Fact, facts_of
from flipbook.evaluate.page.tables import Table
from flipbook.evaluate.rows import TUNED

_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_[]<>|#&~$"})


def write_markdown(folder: Path, *, run_folder: Path | None = None) -> Path:
    """Return the path of `report.md`, made from the files in a folder.

    Args:
        folder: of scores.json and predictions.jsonl, which must be there.
        run_folder: of data.json; `folder` if None.

    Raises:
        ArgumentError: there are no scores or predictions.
        DataError: a file is damaged, or holds other values than a report is made from.
    """
    path = folder / TEXT_FILE
    files = read_report_files(folder, run_folder=run_folder)
    write_whole(path, report_markdown(files).encode("utf-8", "backslashreplace"))
    return path


def report_markdown(files: ReportFiles) -> str:
    """Return a report in Markdown; a section without its file is left out."""
    pairs = confusion.pairs_of(files.predictions.get(TUNED, ()))
    sections: dict[str, Iterable[Table | None]] = {
        "Scores": (scores.rows_table(files.scores), scores.differences_table(files.scores)),
        "By task": (scores.tasks_table(files.scores),),
        "By kind of question": (
            *scores.kind_tables(files.scores),
            confusion.confused_table(pairs),
        ),
        "Cost": (costs.cost_table(files.cost),),
        "Frames against score": (costs.sweep_table(files.sweep),),
        "Data": (*background.data_tables(files.data), background.rejected_table(files.data)),
    }
    blocks = [f"# {escaped(files.name)}: report", escaped(files.scores["verdict"])]
    blocks.append("\n".join(_fact(fact) for fact in facts_of(files.scores)))
    for name, found in sections.items():
        tables = [table for table in found if table is not None]
        blocks += [f"## {name}"] if tables else []
        for table in tables:
            blocks += _blocks(table)
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Return a text on one line, that Markdown shows as it is."""
    return " ".join(text.translate(_SPECIAL).split())


def _fact(fact: Fact) -> str:
    details = f" ({', '.join(fact.details)})" if fact.details else ""
    return f"- {fact.name}: **{fact.value}**{details}"


def _blocks(table: Table) -> list[str]:
    """Return a table with its caption and its note; columns are padded to one width."""
    lines = [
        [escaped(text) if place in table.text_columns else text for place, text in enumerate(line)]
        for line in (table.columns, *table.rows)
    ]
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(lines[0]))]
    rules = [
        "-" * width if place in table.text_columns else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    padded = [_padded(line, widths, table.text_columns) for line in (lines[0], rules, *lines[1:])]
    note = [escaped(table.note)] if table.note else []
    return [f"**{escaped(table.caption)}**", "\n".join(padded), *note]


def _padded(line: Iterable[str], widths: Iterable[int], text_columns: tuple[int, ...]) -> str:
    cells = [
        text.ljust(width) if place in text_columns else text.rjust(width)
        for place, (text, width) in enumerate(zip(line, widths, strict=True))
    ]
    return f"| {' | '.join(cells)} |"
