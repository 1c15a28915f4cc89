"""How does a report become one page that asks nothing of a network?

    folder of scores, run folder  ->  report.html, with styles, script, drawings and pictures in it

All text goes through the template, which escapes it, and the page itself forbids every other
script and every address. A section without its file is left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flipbook.data.written import write_whole
from flipbook.evaluate.file_names import PAGE_FILE
from flipbook.evaluate.page import background, confusion, costs, scores, summary
from flipbook.evaluate.page.cards import cards_of
from flipbook.evaluate.page.files import ReportFiles, read_report_files
from flipbook.evaluate.page.followed import followed_of
from flipbook.evaluate.page.render import page_of
from flipbook.evaluate.page.training import training_figures
from flipbook.evaluate.rows import TUNED


def write_report_page(folder: Path, *, run_folder: Path | None = None) -> Path:
    """Return the path of `report.html`, made from the files in a folder.

    Args:
        folder: of scores.json and predictions.jsonl, which must be there; what is beside them is
            shown, too.
        run_folder: of log.jsonl, followed.jsonl, data.json, config.yaml and environment.json;
            `folder` if None.

    Raises:
        ArgumentError: there are no scores or predictions.
        DataError: a file is damaged, or holds other values than a report is made from.
    """
    path = folder / PAGE_FILE
    write_whole(path, report_page(read_report_files(folder, run_folder=run_folder)))
    return path


def report_page(files: ReportFiles) -> bytes:
    """Return the page of a report in UTF-8."""
    return page_of(__package__, **_content(files))


def _content(files: ReportFiles) -> dict[str, Any]:
    """Return everything that page.html shows, by name."""
    pairs = confusion.pairs_of(files.predictions.get(TUNED, ()))
    cards = cards_of(files.gallery, files.predictions)
    return {
        "title": files.name,
        "verdict": files.scores["verdict"],
        "facts": summary.facts_of(files.scores),
        "rows_figure": scores.rows_figure(files.scores),
        "rows_table": scores.rows_table(files.scores),
        "differences": scores.differences_table(files.scores),
        "tasks_figure": scores.tasks_figure(files.scores),
        "tasks_table": scores.tasks_table(files.scores),
        "kinds": scores.kind_tables(files.scores),
        "confusion": confusion.confusion_of(pairs),
        "confused": confusion.confused_table(pairs),
        "num_classified": sum(pairs.values()),
        "training": training_figures(files.log),
        "followed": followed_of(files.followed),
        "cards": cards,
        "card_rows": {said.row: said.name for card in cards for said in card.answers},
        "card_tasks": sorted({card.task for card in cards if card.task}),
        "card_kinds": sorted({card.kind for card in cards}),
        "cost": costs.cost_table(files.cost),
        "sweep_figure": costs.sweep_figure(files.sweep),
        "sweep": costs.sweep_table(files.sweep),
        "data": background.data_tables(files.data),
        "rejected": background.rejected_table(files.data),
        "config": files.config,
        "environment": background.environment_table(files.environment),
        "provenance": background.provenance_text(files.scores),
    }
