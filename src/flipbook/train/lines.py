"""Which lines of a log does a run that goes on keep?

log.jsonl, step of the checkpoint  ->  log.jsonl without what comes again, or was torn
a line that a full disk refuses    ->  no line, and words for the user
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from flipbook.data.written import written_whole

SUMMARY = "train_runtime"  # stands in the one line that sums up a run, which comes again


def keep_until(path: Path, step: int) -> None:
    """Take the lines of later steps out of a file, and those that were not written to their end.

    Raises:
        OSError: it cannot be written anew; it is as it was.
    """
    if not path.is_file():
        return
    with written_whole(path) as kept, path.open("rb") as lines:
        kept.writelines(line for line in lines if _stays(line, step))


def add_line(path: Path, line: str) -> str | None:
    """Add a line to a file, all of it or nothing; return what to tell where that is refused.

    A log is no reason to end a run: nothing of the model is lost with it.
    """
    size = path.stat().st_size if path.is_file() else 0
    try:
        with path.open("ab") as file:
            file.write(line.encode())
    except OSError as error:
        with contextlib.suppress(OSError):
            os.truncate(path, size)
        return (
            f"{path} cannot be written to ({error.strerror}), so lines are missing there. The run "
            "goes on. Make room before its next checkpoint, which would end it."
        )
    return None


def _stays(line: bytes, step: int) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        content: Any = json.loads(line)
        return content["step"] <= step and SUMMARY not in content
    except (ValueError, KeyError, TypeError):
        return False
