"""What does a worker leave of what it reads, where others can see it?

pid, since when, how long, record, file  <->  a slot in memory that processes share
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

import numpy as np
import psutil

from flipbook.data.workers.working import described

MOST_BYTES = 2048  # of a name in shared memory
SAME_S = 5.0  # two processes of one number do not begin so soon after each other
SLOT = np.dtype(
    [
        ("pid", "i8"),
        ("began_s", "f8"),  # the process, so that no other with its number is taken for it
        ("since_s", "f8"),  # of a clock that all processes share
        ("limit_s", "f8"),  # 0 for none
        ("record", f"S{MOST_BYTES}"),
        ("file", f"S{MOST_BYTES}"),
    ]
)


def is_late(slot: Any, *, by_s: float = 0.0) -> bool:
    """Return whether a worker is at a file for longer than it may be."""
    limit_s = float(slot["limit_s"])
    return limit_s > 0 and time.monotonic() - float(slot["since_s"]) > limit_s + by_s


def process_of(slot: Any) -> psutil.Process:
    """Return the process of a worker.

    Raises:
        psutil.NoSuchProcess: it is gone, or has not begun.
    """
    pid = int(slot["pid"])
    process = psutil.Process(pid) if pid else None
    # The time of the machine's start, from which these are counted, moves with its clock.
    if process is None or abs(process.create_time() - float(slot["began_s"])) > SAME_S:
        raise psutil.NoSuchProcess(pid)
    return process


def end_of(pid: int) -> os.waitid_result | None:
    """Return how a child of this process has ended, all its threads too; it stays to be asked.

    Raises:
        OSError: it is no child of this process.
    """
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def has_ended(slot: Any) -> bool:
    """Return whether a worker has begun and is no more."""
    pid = int(slot["pid"])
    return pid > 0 and is_gone(pid)


def is_gone(pid: int) -> bool:
    """Return whether a process has ended with all its threads."""
    try:
        return end_of(pid) is not None
    except (AttributeError, OSError):  # it is no child of this process, or was asked already
        with suppress(psutil.NoSuchProcess):
            return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        return True


def in_bytes(text: str) -> bytes:
    """Return a name as a slot holds it."""
    return text.encode("utf-8", "backslashreplace")[:MOST_BYTES]


def reading_of(slot: Any) -> str:
    """Return in words what a worker reads."""
    if slot is None:
        return "nothing that is known"
    return described(*(bytes(slot[name]).decode("utf-8", "replace") for name in ("record", "file")))
