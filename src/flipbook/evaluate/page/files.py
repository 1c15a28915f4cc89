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
        DataError: a file is damaged.
    """
    run_folder = run_folder or folder
    for name in (SCORES_FILE, PREDICTIONS_FILE):
        if not (folder / name).is_file():
            raise ArgumentError(
                f"{folder} holds no {name}, so there is nothing to report. Name a folder that "
                "`flipbook evaluate` wrote, or a run that was scored."
            )
    scores = _json(folder / SCORES_FILE)
    return ReportFiles(
        name=_name_of(run_folder.resolve()),
        scores=scores or {},
        predictions=_read(folder / PREDICTIONS_FILE, _by_row) or {},
        log=_lines(run_folder / LOG_FILE),
        followed=_lines(run_folder / FOLLOWED_FILE),
        cost=_json(folder / COST_FILE),
        sweep=_json(folder / SWEEP_FILE) or _json(folder / EVALUATION_FOLDER / SWEEP_FILE),
        gallery=_json(folder / GALLERY_FILE),
        data=_json(run_folder / DATA_FILE),
        config=_read(run_folder / CONFIG_FILE, str) or "",
        environment=_json(run_folder / ENVIRONMENT_FILE),
    )


def _name_of(folder: Path) -> str:
    return folder.parent.name if folder.name == EVALUATION_FOLDER else folder.name


def _json(path: Path) -> Mapping[str, Any] | None:
    return _read(path, _object)


def _lines(path: Path) -> list[Line]:
    return _read(path, _objects) or []


def _by_row(text: str) -> dict[str, list[Line]]:
    rows: dict[str, list[Line]] = {}
    for line in _objects(text):
        if "row" not in line:
            raise ValueError("a line names no row")
        rows.setdefault(line["row"], []).append(line)
    return rows


def _objects(text: str) -> list[Line]:
    """Return the lines of a file; what stands after the last line break was never finished."""
    *whole, _ = text.split("\n")
    return [_object(line) for line in whole if line.strip()]


def _object(text: str) -> Mapping[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{type(found).__name__} in place of an object")  # noqa: TRY004 - content
    return found


def _read(path: Path, parse: Callable[[str], _Found]) -> _Found | None:
    """Return what a file holds; None where there is none."""
    if not path.is_file():
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}). Make it anew, or move it away to leave its section "
            "out of the report."
        ) from error
