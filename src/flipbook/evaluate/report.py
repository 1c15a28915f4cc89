"""How does a reader see what a model can do?

    Predictions by row  ->  scores.json, predictions.jsonl, a table with a verdict

To add a row: its name and its meaning in ROWS, and its predictions in `run.py`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flipbook.evaluate.metrics import MEAN, Score, accuracy
from flipbook.evaluate.scoring import Prediction
from flipbook.evaluate.verdict import verdict

SCORES_FILE = "scores.json"
PREDICTIONS_FILE = "predictions.jsonl"
STILL_IMAGES = "still_images_"

ROWS = {
    "untuned": "before tuning; frames in order",
    "tuned": "after tuning; frames in order",
    "shuffled": "after tuning; frames in random order",
    "reversed": "after tuning; frames backwards",
    "single_frame": "after tuning; middle frame alone",
    "blank": "after tuning; black frames, words alone",
    "still_images_before": "before tuning; still images",
    "still_images_after": "after tuning; still images",
}


def score_rows(predictions: Mapping[str, Sequence[Prediction]]) -> dict[str, Score]:
    """Return the score of each row, in the order of ROWS.

    Raises:
        ValueError: a row is unknown, or has no predictions.
    """
    unknown = predictions.keys() - ROWS.keys()
    if unknown:
        raise ValueError(f"unknown rows {sorted(unknown)}; known are {list(ROWS)}")
    return {
        row: accuracy((item.task, item.correct) for item in predictions[row])
        for row in ROWS
        if row in predictions
    }


def write_report(
    folder: str | Path,
    *,
    predictions: Mapping[str, Sequence[Prediction]],
    provenance: Mapping[str, Any],
) -> dict[str, Score]:
    """Write `scores.json` and `predictions.jsonl` into `folder`; return the scores.

    Each file appears whole or not at all. Predictions come first, so scores never stand without
    the answers behind them.
    """
    scores = score_rows(predictions)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"row": row, **asdict(item)}, ensure_ascii=False)
        for row in scores
        for item in predictions[row]
    ]
    content = {
        **{row: score.as_dict() for row, score in scores.items()},
        "num_questions": {row: dict(score.num_questions) for row, score in scores.items()},
        "verdict": verdict(scores),
        "provenance": dict(provenance),
    }
    _write_whole(folder / PREDICTIONS_FILE, "\n".join(lines) + "\n")
    _write_whole(folder / SCORES_FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return scores


def print_report(scores: Mapping[str, Score], *, console: Console | None = None) -> None:
    """Print what each row means and its mean, the accuracy of each task, and the verdict."""
    console = console or Console()
    clips = {row: score for row, score in scores.items() if not row.startswith(STILL_IMAGES)}
    stills = {row: score for row, score in scores.items() if row.startswith(STILL_IMAGES)}
    # Headings are lines of their own: a table's title wraps at the width of the table.
    console.print("\nAccuracy, mean over tasks")
    console.print(means_table(scores))
    console.print("\nAccuracy by task")
    console.print(tasks_table(clips))
    if stills:
        console.print("\nAccuracy by task, still images")
        console.print(tasks_table(stills))
    console.print(f"\n{verdict(scores)}", highlight=False)


def means_table(scores: Mapping[str, Score]) -> Table:
    """Return one line for each row: its mean accuracy, its questions, and what it means."""
    table = Table(box=None)
    for heading in ("row", "mean", "questions", "which model, and what it sees"):
        table.add_column(heading, justify="right" if heading in ("mean", "questions") else "left")
    for row, score in scores.items():
        num_questions = sum(score.num_questions.values())
        table.add_row(row, f"{score.mean:.3f}", str(num_questions), ROWS[row])
    return table


def tasks_table(scores: Mapping[str, Score]) -> Table:
    """Return one line for each task, with a column for each row of scores."""
    table = Table(box=None)
    table.add_column("task")
    for row in scores:
        table.add_column(row.removeprefix(STILL_IMAGES), justify="right")
    tasks = list(dict.fromkeys(task for score in scores.values() for task in score.tasks))
    for task in [*tasks, MEAN]:
        values = [score.as_dict().get(task) for score in scores.values()]
        table.add_row(task, *("" if value is None else f"{value:.3f}" for value in values))
    return table


def _write_whole(path: Path, text: str) -> None:
    """Write a file under another name, make it last, and give it its name in one step."""
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(staged).chmod(0o644)
        Path(staged).replace(path)
    except OSError:
        Path(staged).unlink(missing_ok=True)
        raise
