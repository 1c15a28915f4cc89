"""How does a reader see what a model can do?

Predictions by row  ->  Report  ->  predictions.jsonl, scores.json, report.md, report.html, a table
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flipbook.data.written import make_folder, write_json_whole
from flipbook.evaluate.claims import claims_of, score_rows
from flipbook.evaluate.cost import Cost
from flipbook.evaluate.file_names import (
    COST_FILE,
    GALLERY_FILE,
    PREDICTIONS_FILE,
    SCORES_FILE,
)
from flipbook.evaluate.gallery import write_gallery
from flipbook.evaluate.markdown import write_markdown
from flipbook.evaluate.page.write import write_report_page
from flipbook.evaluate.predictions_file import write_predictions
from flipbook.evaluate.rows import MEANING, ROWS, STILL_IMAGES
from flipbook.score.prediction import Prediction
from flipbook.score.questions import AskedQuestion
from flipbook.score.scores import MEAN, Score


@dataclass(frozen=True)
class Report:
    """What was measured, and what may be said of it.

    Attributes:
        predictions: of each row, in the order of `ROWS`.
        scores: of each row.
        content: of scores.json: the same numbers with intervals, and all other measures.
    """

    predictions: Mapping[str, Sequence[Prediction]]
    scores: Mapping[str, Score]
    content: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """What the rows say together, in plain words."""
        return str(self.content["verdict"])


def report_of(
    predictions: Mapping[str, Sequence[Prediction]],
    *,
    questions: Sequence[AskedQuestion],
    provenance: Mapping[str, Any],
) -> Report:
    """Return what the predictions of some rows say.

    Args:
        questions: those of the row `tuned`.
        provenance: is noted beside.

    Raises:
        ValueError: a row is unknown, or there is no row `tuned`.
    """
    scores = score_rows(predictions)
    ordered = {row: predictions[row] for row in scores}
    content = claims_of(ordered, questions=questions, scores=scores)
    return Report(ordered, scores, {**content, "provenance": dict(provenance)})


def write_report(
    folder: str | Path,
    report: Report,
    *,
    run_folder: str | Path | None = None,
    cost: Cost | None = None,
    gallery: Mapping[str, Any] | None = None,
) -> None:
    """Write all files of a report into `folder`, each whole or not at all.

    Predictions come first, so scores never stand without the answers behind them. Files of times
    and pictures that are not given any more are removed: they belonged to other answers.

    Raises:
        StorageError: the folder cannot be made.
    """
    folder = Path(folder)
    make_folder(folder)
    write_predictions(folder / PREDICTIONS_FILE, report.predictions)
    write_json_whole(folder / SCORES_FILE, report.content)
    if cost is None:
        (folder / COST_FILE).unlink(missing_ok=True)
    else:
        write_json_whole(folder / COST_FILE, cost.as_dict())
    if gallery is None:
        (folder / GALLERY_FILE).unlink(missing_ok=True)
    else:
        write_gallery(folder, gallery)
    write_pages(folder, run_folder=None if run_folder is None else Path(run_folder))


def write_pages(folder: Path, *, run_folder: Path | None = None) -> tuple[Path, Path]:
    """Return the paths of report.html and report.md, made from the files in a folder.

    Raises:
        ArgumentError: there are no scores or predictions.
        DataError: a file is damaged, or holds other values than a report is made from.
    """
    text = write_markdown(folder, run_folder=run_folder)
    return write_report_page(folder, run_folder=run_folder), text


def print_report(report: Report, *, console: Console | None = None) -> None:
    """Print what each row means and its mean, each task and kind, and the verdict."""
    console = console or Console()
    clips = {row: s for row, s in report.scores.items() if not row.startswith(STILL_IMAGES)}
    stills = {row: s for row, s in report.scores.items() if row.startswith(STILL_IMAGES)}
    # Headings are lines of their own: a table's title wraps at the width of the table.
    console.print("\nScores, mean over tasks, with 95 % intervals")
    console.print(means_table(report.scores))
    console.print("\nScores by task")
    console.print(tasks_table(clips))
    if stills:
        console.print("\nScores by task, still images")
        console.print(tasks_table(stills))
    console.print("\nMeasures of the tuned model, by kind of question")
    console.print(kinds_table(report.content))
    console.print(f"\n{report.verdict}", highlight=False)


def means_table(scores: Mapping[str, Score]) -> Table:
    """Return one line for each row: its mean score, its questions, and what it means."""
    table = Table(box=None, padding=(0, 1, 0, 0))  # within 80 columns
    for heading in ("row", "mean", "interval", "questions", MEANING):
        is_number = heading in ("mean", "interval", "questions")
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number)
    for row, score in scores.items():
        num_questions = sum(score.num_questions.values())
        interval = _interval(score.intervals.get(MEAN))
        table.add_row(row, f"{score.mean:.3f}", interval, str(num_questions), ROWS[row])
    return table


def tasks_table(scores: Mapping[str, Score]) -> Table:
    """Return one line for each task, with a column for each row of scores."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("task")
    for row in scores:
        heading = row.removeprefix(STILL_IMAGES).replace("_", "\n")  # nine rows, 80 columns
        table.add_column(heading, justify="right")
    tasks = list(dict.fromkeys(task for score in scores.values() for task in score.tasks))
    for task in [*tasks, MEAN]:
        values = [score.as_dict().get(task) for score in scores.values()]
        table.add_row(task, *("" if value is None else f"{value:.3f}" for value in values))
    return table


def kinds_table(content: Mapping[str, Any]) -> Table:
    """Return one line for each measure of each kind of question, of the row `tuned`."""
    table = Table(box=None)
    for heading in ("kind", "measure", "value", "interval"):
        is_number = heading in ("value", "interval")
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=is_number)
    for kind, measures in content["kinds"]["tuned"].items():
        for name, told in measures.items():
            interval = _interval((told["low"], told["high"]) if "low" in told else None)
            table.add_row(kind, name, f"{told['value']:.3f}", interval)
    return table


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"
