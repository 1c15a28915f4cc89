"""What do the files of an evaluation, and of the run behind it, hold?

    folder, run folder  ->  ReportFiles: plain values as they stand in the files

Scores and predictions must be there. What else is missing is empty, and its section is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from flipbook.errors import ArgumentError, DataError
from flipbook.evaluate.file_names import (
    CONFIG_FILE,
    COST_FILE,
    ENVIRONMENT_FILE,
    EVALUATION_FOLDER,
    GALLERY_FILE,
    LOG_FILE,
    PREDICTIONS_FILE,
    SCORES_FILE,
    SWEEP_FILE,
)
from flipbook.evaluate.page import shapes
from flipbook.evaluate.page.shapes import Shape, fault_in
from flipbook.evaluate.predictions_file import read_predictions
from flipbook.train.data_summary import DATA_FILE
from flipbook.train.examining.followed import FOLLOWED_FILE

Line = Mapping[str, Any]
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class ReportFiles:
    """All that a report is made from.

    Attributes:
        name: of the run, or of the folder.
        scores: of scores.json.
        predictions: lines of predictions.jsonl by row.
        log, followed: lines of the run, in order.
        cost, sweep, gallery, data, environment: of the JSON files of these names.
        config: text of config.yaml.
    """

    name: str
    scores: Mapping[str, Any]
    predictions: Mapping[str, Sequence[Line]]
    log: Sequence[Line] = ()
    followed: Sequence[Line] = ()
    cost: Mapping[str, Any] | None = None
    sweep: Mapping[str, Any] | None = None
    gallery: Mapping[str, Any] | None = None
    data: Mapping[str, Any] | None = None
    config: str = ""
    environment: Mapping[str, Any] | None = None


def read_report_files(folder: Path, *, run_folder: Path | None = None) -> ReportFiles:
    """Return what is in a folder of scores, and in the run folder; the folder itself if None.

    Raises:
        ArgumentError: there are no scores or predictions.
        DataError: a file is damaged, or holds other values than a report is made from.
    """
    run_folder = run_folder or folder
    for name in (SCORES_FILE, PREDICTIONS_FILE):
        if not (folder / name).is_file():
            raise ArgumentError(
                f"{folder} holds no {name}, so there is nothing to report. Name a folder that "
                "`flipbook evaluate` wrote, or a run that was scored."
            )
    scores = _json(folder / SCORES_FILE, shapes.SCORES)
    predictions = read_predictions(folder / PREDICTIONS_FILE)
    return ReportFiles(
        name=_name_of(run_folder.resolve()),
        scores=scores or {},
        predictions={row: [own.as_dict() for own in rows] for row, rows in predictions.items()},
        log=_lines(run_folder / LOG_FILE, shapes.LOGGED),
        followed=_lines(run_folder / FOLLOWED_FILE, shapes.FOLLOWED),
        cost=_json(folder / COST_FILE, shapes.COST),
        sweep=_json(folder / SWEEP_FILE, shapes.SWEEP)
        or _json(folder / EVALUATION_FOLDER / SWEEP_FILE, shapes.SWEEP),
        gallery=_json(folder / GALLERY_FILE, shapes.GALLERY),
        data=_json(run_folder / DATA_FILE, shapes.DATA),
        config=_read(run_folder / CONFIG_FILE, str) or "",
        environment=_json(run_folder / ENVIRONMENT_FILE, shapes.ENVIRONMENT),
    )


def _name_of(folder: Path) -> str:
    return folder.parent.name if folder.name == EVALUATION_FOLDER else folder.name


def _json(path: Path, shape: Shape) -> Mapping[str, Any] | None:
    return _read(path, lambda text: _object(text, shape))


def _lines(path: Path, shape: Shape) -> list[Line]:
    return _read(path, lambda text: _objects(text, shape)) or []


def _objects(text: str, shape: Shape) -> list[Line]:
    """Return the lines of a file; what stands after the last line break was never finished."""
    *whole, _ = text.split("\n")
    return [
        _object(line, shape, where=f"line {number}: ")
        for number, line in enumerate(whole, start=1)
        if line.strip()
    ]


def _object(text: str, shape: Shape, *, where: str = "") -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise ValueError(f"{where}{error}") from error
    fault = fault_in(found, shape)
    if fault is not None:
        raise ValueError(f"{where}{fault}")
    return found


def _read(path: Path, parse: Callable[[str], _Found]) -> _Found | None:
    """Return what a file holds; None where there is none."""
    if not path.is_file():
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        advice = (
            "Evaluate again with `flipbook evaluate`, which writes it anew."
            if path.name == SCORES_FILE
            else "Make it anew, or move it away to leave its section out of the report."
        )
        raise DataError(f"{path} cannot be read ({error}). {advice}") from error
