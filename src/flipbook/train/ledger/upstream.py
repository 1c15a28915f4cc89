"""Which records of what the user named never came to the table of a run?

RUN/prepared, data sets that were named  ->  Upstream: how many they had, each that is left out
                                             with its stage and reason, those kept for a test
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from flipbook.data.doctor.findings import finding_of
from flipbook.data.doctor.writing import QUARANTINE_FILE
from flipbook.data.sources import Source
from flipbook.errors import RecordError
from flipbook.train.intake.division import REJECTED_FILE, SPLIT_FOLDER
from flipbook.train.intake.taking import CHECKED_FOLDER, is_native

CONVERSION, DIVISION, CHECK, READING = "conversion", "division", "check", "reading"
_KEPT = ("validation", "test")


class Excluded(NamedTuple):
    """A record that is not trained on, at which stage it was left out, and why."""

    record_id: str
    stage: str
    code: str
    reason: str


@dataclass(frozen=True)
class Upstream:
    """What became of records before the table of training data was made.

    Attributes:
        num_named: records of the data sets that the user named for training.
        held_out: how many of them were taken for validation and for the test.
    """

    num_named: int
    held_out: dict[str, int] = field(default_factory=dict)
    _prepared: Path | None = None
    _num_sources: int = 0

    def excluded(self) -> Iterator[Excluded]:
        """Yield the records that were left out, one at a time."""
        if self._prepared is None:
            return
        for number in range(self._num_sources):
            converted = self._prepared / "train" / str(number)
            for path in sorted(converted.glob("*.rejected.jsonl")):
                yield from _rejected(path, CONVERSION)
            yield from _rejected(
                self._prepared / SPLIT_FOLDER / str(number) / REJECTED_FILE, DIVISION
            )
        yield from _quarantined(self._prepared)


def upstream_of(named: Sequence[Source], *, prepared: Path | None, num_read: int) -> Upstream:
    """Return what became of the records of the data sets that were named for training.

    Args:
        named: the data sets.
        prepared: `RUN/prepared`, where they were converted, divided or checked.
        num_read: records of the files that are trained on as they are.
    """
    if prepared is None:
        return Upstream(num_read)
    num_read_of = {Path(one["file"]): one["num_read"] for one in _checked(prepared)}
    num_named = 0
    held_out = dict.fromkeys(_KEPT, 0)
    for number, source in enumerate(named):
        if is_native(source):
            num_named += num_read_of[Path(source.path)]
            continue
        for path in sorted((prepared / "train" / str(number)).glob("*.jsonl")):
            num_named += _num_lines(path)  # of records, and of the rejected
        for split in _KEPT:
            for path in (prepared / SPLIT_FOLDER / str(number)).glob(f"*/{split}.jsonl"):
                held_out[split] += _num_lines(path)
    return Upstream(num_named, held_out, prepared, len(named))


def _num_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _rejected(path: Path, stage: str) -> Iterator[Excluded]:
    """Yield what a file of rejected rows names; nothing where there is none."""
    if not path.is_file():
        return
    for row in _rows(path):
        yield excluded_of(RecordError(row["id"], row["reason"]), stage)


def _quarantined(prepared: Path) -> Iterator[Excluded]:
    """Yield the training records that the check left out, each once with all its reasons."""
    training = {one["file"] for one in _checked(prepared)}
    path = prepared / CHECKED_FOLDER / QUARANTINE_FILE
    rows = (row for row in _rows(path) if row["file"] in training)
    for _, same in groupby(rows, key=lambda row: (row["file"], row["row"])):
        reasons = list(same)
        yield Excluded(
            reasons[0]["id"],
            CHECK,
            reasons[0]["code"],
            "; ".join(row["reason"] for row in reasons),
        )


def _checked(prepared: Path) -> list[dict[str, Any]]:
    """Return what the check found in each manifest of training data."""
    summary = json.loads((prepared / CHECKED_FOLDER / "summary.json").read_text(encoding="utf-8"))
    return [one for one in summary["manifests"] if one["used_as"] == "train"]


def excluded_of(error: RecordError, stage: str) -> Excluded:
    """Return a record that an error leaves out."""
    found = finding_of(error, otherwise="structure")
    return Excluded(error.record_id, stage, found.code, error.message)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
