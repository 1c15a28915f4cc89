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
│       └── NoModelError   2   no model is there under the name that a flag gives
├── WorkerError            6   a process that decodes, or one of several that train
└── StoppedError           75  it was asked to stop, and can go on

AskedToStop            130 a KeyboardInterrupt, of whatever signal, where nothing can go on

The numbers are exit codes of the command line. A message says what is wrong, where, and what to do
next. Mistakes of the programmer are plain `ValueError` or `AssertionError`.
"""

from __future__ import annotations

import difflib
import errno
import os
import signal
from collections.abc import Iterable, Sequence

EXIT_CODES = {
    0: "done",
    1: "a mistake of ours, with a traceback",
    2: "a flag, a line of a configuration file, or a name that leads nowhere",
    3: "a file of the data set, or a record",
    4: "the run itself: numbers that are not finite, nothing to train, too little memory",
    5: "a disk or a folder that cannot be written to, or does not give back what was written",
    6: "a process that decodes, or one of several that train, died, hung or fell behind",
    75: "stopped when asked to, and can go on from there",
    130: "stopped by Ctrl-C with nothing to go on from; 128 + its number for another signal",
    141: "whoever read the output has closed it, as `head` does",
}

# What a disk or a folder refuses; other errors of the system are mistakes of ours.
_STORAGE_FAULTS = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or ask for more",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`)",
    errno.EROFS: "name another place",
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EIO: "look after the disk",
}


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


class NoModelError(CheckpointError):
    """There is no model under the name that was given."""

    exit_code = 2


class WorkerError(FlipbookError):
    """A process died, hung or fell behind: one that decodes, or one of several that train."""

    exit_code = 6


class StoppedError(FlipbookError):
    """A command was asked to stop, has kept what it had, and can go on from there."""

    exit_code = 75


class AskedToStop(KeyboardInterrupt):
    """A signal asked the process to stop. `signal_name` names it."""

    def __init__(self, number: int, told: str = "") -> None:
        self.signal_name = name_of(number)
        self.exit_code = 128 + number
        self.told = told
        super().__init__(number, told)


def name_of(signal_number: int) -> str:
    """Return how people call a signal."""
    return "Ctrl-C" if signal_number == signal.SIGINT else signal.Signals(signal_number).name


def speaker() -> str:
    """Return who tells of an error: the program, and its rank where `torchrun` runs several."""
    is_one_of_several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return f"flipbook (rank {os.environ['RANK']})" if is_one_of_several else "flipbook"


def reason_of(stop: KeyboardInterrupt) -> str:
    """Return what ended a command before its time."""
    return stop.signal_name if isinstance(stop, AskedToStop) else name_of(signal.SIGINT)


def storage_words(error: BaseException) -> str | None:
    """Return in words what a disk or a folder refused, and what to do; None for other errors.

    OSError(28, "No space left on device", "runs/a/log.jsonl")
        -> "runs/a/log.jsonl: No space left on device. What was there before is kept; make room
            there, and give the same command again."
    """
    number = error.errno if isinstance(error, OSError) else _number_in(str(error))
    if number not in _STORAGE_FAULTS:
        return None
    name = getattr(error, "filename", None)
    where = f"{one_line(os.fsdecode(name))}: " if isinstance(name, (str, bytes)) else ""
    return (
        f"{where}{os.strerror(number)}. What was there before is kept; {_STORAGE_FAULTS[number]}, "
        "and give the same command again."
    )


def _number_in(message: str) -> int | None:
    """Return which error of the system a message of safetensors tells of."""
    known = [number for number in _STORAGE_FAULTS if f"(os error {number})" in message]
    return known[0] if known else None


def one_line(text: str) -> str:
    """Return a text as one line that every terminal shows, other letters as their codes."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in " ".join(text.split())
    )


def first_of(names: Sequence[str], *, most: int = 5) -> str:
    """Return the first of some names, and how many there are beside them.

    ["a", "b", "c"], most=2  ->  "a, b and 1 more"
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def did_you_mean(unknown: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(unknown, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
