"""Every error that flipbook raises on purpose, grouped by who can fix it.

FlipbookError
├── ArgumentError          2   a flag or a line of a configuration file
├── DataError              3   a file of the data set
│   ├── ManifestError          a JSON or JSONL file of records cannot be read
│   ├── MediaError             a video or an image cannot give its frames
│   └── RecordError            one record cannot be trained on
│       ├── BudgetError        it needs more tokens than the model may read
│       └── LabelError         its labels could not be proven right
├── TrainingError          4   the run itself: the numbers, or nothing to train
├── StorageError           5   a disk or a folder that cannot be written to or read back
│   └── CheckpointError        a model folder
├── WorkerError            6   a process that decodes, or one of several that train
└── StoppedError           75  the run was asked to stop, and can go on

The numbers are exit codes of the command line. A message says what is wrong, where, and what to do
next. Mistakes of the programmer are plain `ValueError` or `AssertionError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FlipbookError(Exception):
    """Base of every error raised on purpose; the command line prints it without a traceback."""

    exit_code = 2


class ArgumentError(FlipbookError):
    """A flag or a line of a configuration file is wrong."""


class DataError(FlipbookError):
    """A file of the data set is wrong."""

    exit_code = 3


class ManifestError(DataError):
    """A file of records cannot be read."""


class MediaError(DataError):
    """A video or an image cannot give its frames. `path` names the file."""

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        self.message = one_line(message)
        super().__init__(f"{one_line(path)}: {self.message}")

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str]]:
        return type(self), (self.path, self.message)


class RecordError(DataError):
    """One record cannot be trained on. `record_id` names it."""

    def __init__(self, record_id: str, message: str) -> None:
        self.record_id = record_id
        self.message = one_line(message)
        super().__init__(f"record {record_id}: {self.message}")

    def __reduce__(self) -> tuple[type[RecordError], tuple[str, str]]:
        return type(self), (self.record_id, self.message)


class BudgetError(RecordError):
    """A record needs more tokens than the model may read; answers are never cut."""


class LabelError(RecordError):
    """The labels of a record could not be proven right."""


class TrainingError(FlipbookError):
    """The run itself went wrong: a number that is not finite, or nothing to train."""

    exit_code = 4


class StorageError(FlipbookError):
    """A disk or a folder cannot be written to, or does not give back what was written."""

    exit_code = 5


class CheckpointError(StorageError):
    """A model folder is incomplete, damaged, or of an unknown kind."""


class WorkerError(FlipbookError):
    """A process died, hung or fell behind: one that decodes, or one of several that train."""

    exit_code = 6


class StoppedError(FlipbookError):
    """The run was asked to stop, has saved what it had, and can go on from there."""

    exit_code = 75


def one_line(text: str) -> str:
    """Return a text as one line that every terminal shows, other letters as their codes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in " ".join(text.split())
    )


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(unknown, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
