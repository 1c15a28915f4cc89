"""What if the process that trains or answers hangs itself while it reads a file?

    what it reads, how long it may  ->  a thread that tells of a file that takes too long

Batches are read by workers. Some files are read in the process itself: those of questions that are
answered, of proofs, of a chat, and all where there are no workers.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flipbook.data.turns import Media
from flipbook.data.workers.limits import TIMEOUT_S, time_for
from flipbook.data.workers.working import also_told_to, described
from flipbook.errors import WorkerError

LOOK_S = 1.0  # between two looks


class _Now:
    """What is read now, and until when it may be."""

    def __init__(self, timeout_s: float, more_time: str) -> None:
        self._timeout_s = timeout_s
        self._more_time = more_time
        self._reads: tuple[str, str, float, float] | None = None

    def hear(self, record: str, item: Media | None) -> None:
        """Take note of it; time counts while a file is open."""
        if item is None:
            self._reads = None
            return
        limit_s = time_for(item, self._timeout_s)
        self._reads = record, item.path, limit_s, time.monotonic() + limit_s

    def late(self) -> str | None:
        """Return what is told of a file that takes too long; None where none does."""
        reads = self._reads
        if reads is None or time.monotonic() < reads[3]:
            return None
        record, file, limit_s, _ = reads
        return (
            f"Reading {described(record, file)} did not end within {limit_s:.3g} s, in the process "
            "that trains or answers. Look at the file with `flipbook data check`, and encode it "
            f"again or leave the record out{self._more_time}."
        )


@contextmanager
def watched_reading(
    timeout_s: float, *, on_late: Callable[[str], None], more_time: str = ""
) -> Iterator[None]:
    """Tell of a file that this process reads for too long, while it still does.

    Args:
        timeout_s: how long a file may take, and longer a large one; 0 for any time.
        on_late: is told what takes so long, in a thread of its own; it is to end the process.
        more_time: how a file gets more of it, for the words of what is told.
    """
    if not timeout_s:
        yield
        return
    now, is_over = _Now(timeout_s, more_time), threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_S):
            told = now.late()
            if told is not None:
                on_late(told)
                return

    thread = threading.Thread(target=look, name="flipbook-reads", daemon=True)
    thread.start()
    try:
        with also_told_to(now):
            yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def watched_command() -> Iterator[None]:
    """End a command that reads one file for too long, with the reason; to stand over its `run`."""
    with watched_reading(TIMEOUT_S, on_late=_leave):
        yield


def _leave(told: str) -> None:
    sys.stderr.write(f"flipbook: {told}\n")
    sys.stderr.flush()
    os._exit(WorkerError.exit_code)
