"""What becomes of a worker that crashes, hangs, or takes all memory?

    dataset, limits  ->  Readings: what each worker of a loader reads now, in shared memory
    its end          ->  WorkerError: the record and the file, and what happened

A worker has a time for each file, which the system keeps: at its end the process is ended, whatever
it is doing, be it in C or waiting for a disk; one that is stopped is ended from outside a little
later. It has a bound on its memory, beyond which it gets an error. What it read stays behind in
memory that it shares with the process that trains.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from flipbook.data.limits import limit_memory, time_for
from flipbook.data.turns import Media
from flipbook.data.working import described, told_to
from flipbook.errors import WorkerError

TIMEOUT_S = 120.0  # of a file
GRACE_S = 10.0  # later than its own alarm is a worker ended from outside
LOOK_S = 1.0  # between two looks at all workers
END_S = 10.0  # in which a process that was ended is gone
STARTING_S = 300.0  # in which workers begin, on a busy machine
MOST_SLOW = 2  # files that are as large as they may be count so many times
MOST_BYTES = 2048  # of a name in shared memory
_SLOT = np.dtype(
    [
        ("pid", "i8"),
        ("began_s", "f8"),  # the process, so that no other with its number is taken for it
        ("since_s", "f8"),  # of a clock that all processes share
        ("limit_s", "f8"),  # 0 for none
        ("record", f"S{MOST_BYTES}"),
        ("file", f"S{MOST_BYTES}"),
    ]
)
_ENDED = re.compile(r"DataLoader worker \(pid(?:\(s\))? (?P<pids>[\d, ]+)\)(?P<how>[^\n]*)")
_TIMED_OUT = re.compile(r"DataLoader timed out after (\S+) seconds")
_SIGNAL = re.compile(r"is killed by signal: (?P<words>[^.]+)\.")
_EXIT_CODE = re.compile(r"exited unexpectedly with exit code (\d+)")


class Readings:
    """What each worker of a loader reads now.

    Args:
        num_workers: of the loader.
        timeout_s: how long a file may take, and longer a large one; 0 for any time.
        room_bytes: how much memory a worker may take for its work; 0 for all there is.
    """

    def __init__(self, num_workers: int, *, timeout_s: float, room_bytes: int) -> None:
        self.timeout_s = timeout_s
        self.room_bytes = room_bytes
        self._memory = torch.zeros(num_workers * _SLOT.itemsize, dtype=torch.uint8)
        self._memory.share_memory_()  # type: ignore[no-untyped-call]
        _readings.add(self)
        watch = threading.Thread(target=_watch, args=(weakref.ref(self),), daemon=True)
        watch.start()

    @property
    def slots(self) -> NDArray[Any]:
        """One for each worker, as it is now."""
        return self._memory.numpy().view(_SLOT)

    def begin(self, worker: int) -> None:
        """Let this process be a worker: tell what it reads, within its limits."""
        slot = self.slots[worker : worker + 1]
        slot["pid"], slot["began_s"] = os.getpid(), psutil.Process().create_time()
        if self.room_bytes:
            limit_memory(self.room_bytes)
        if _has_alarm():
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, in C as in Python
        told_to(_Slot(slot, self.timeout_s))

    def end(self) -> None:
        """End all workers, also those that hang or are stopped, and forget them."""
        _readings.discard(self)
        for slot in self.slots:
            with suppress(psutil.Error, RuntimeError):  # the loader tells once more that it died
                process = _process_of(slot)
                process.kill()
                _wait_for_end(process)

    def end_late(self) -> None:
        """End the workers that read for too long, and that their own alarm does not reach."""
        for slot in self.slots:
            if _is_late(slot, by_s=GRACE_S):
                with suppress(psutil.Error):
                    _process_of(slot).kill()


def _watch(readings_of: weakref.ref[Readings]) -> None:
    """End workers that are stopped, as long as there is somebody who waits for them; a thread.

    The process that trains may be in the midst of taking a batch from one, where nothing else ends
    its waiting.
    """
    while (readings := readings_of()) is not None:
        readings.end_late()
        del readings
        time.sleep(LOOK_S)


class _Slot:
    """Writes what a worker reads into memory that it shares."""

    def __init__(self, slot: NDArray[Any], timeout_s: float) -> None:
        self._slot = slot
        self._timeout_s = timeout_s

    def hear(self, record: str, item: Media | None) -> None:
        """Write it down, and set the time at which the system ends this process."""
        limit_s = self._timeout_s if record else 0.0
        if limit_s and item is not None:
            limit_s = time_for(item, limit_s)
        slot = self._slot
        slot["since_s"], slot["limit_s"] = time.monotonic(), limit_s
        slot["record"] = _in_bytes(record)
        slot["file"] = b"" if item is None else _in_bytes(item.path)
        if _has_alarm():
            signal.setitimer(signal.ITIMER_REAL, limit_s)


_readings: weakref.WeakSet[Readings] = weakref.WeakSet()


def batch_timeout_s(num_records: int, timeout_s: float) -> float:
    """Return how long a loader waits for a batch, for a worker that not even the system can end."""
    return timeout_s and STARTING_S + MOST_SLOW * timeout_s * num_records


@contextmanager
def naming_workers() -> Iterator[None]:
    """Tell of a worker that died or hung with the record that it read, whenever it is noticed.

    The library notices in the middle of whatever the main thread does.

    Raises:
        WorkerError: one did.
    """
    try:
        yield
    except Exception as error:
        told = _told_of(error)
        if told is None:
            raise
        end_workers()
        raise WorkerError(told) from error


def end_workers() -> None:
    """End all workers of this process, whose work nobody wants any more.

    The library waits for each of them for seconds, and for ever for one that is stopped.
    """
    for readings in list(_readings):
        readings.end()


def _told_of(error: BaseException | None) -> str | None:
    """Return what happened to a worker where an error, or what it came from, is about that.

    Of two errors about one worker the first knows how it ended, and the last only that it did.
    """
    told = None
    while error is not None:
        text = str(error)
        ended, timed_out = _ENDED.search(text), _TIMED_OUT.search(text)
        if isinstance(error, RuntimeError) and ended:
            slot = _slot_of([int(pid) for pid in re.findall(r"\d+", ended["pids"])])
            told = _ended_in_words(slot, ended["how"])
        elif isinstance(error, RuntimeError) and timed_out:
            told = _stuck_in_words(timed_out[1])
        error = error.__cause__ or error.__context__
    return told


def _slot_of(pids: Sequence[int]) -> Any:
    """Return the slot of the worker that died, the one with a record where there are several."""
    slots = [slot for one in list(_readings) for slot in one.slots if slot["pid"] in pids]
    return max(slots, key=lambda slot: bool(slot["record"]), default=None)


def _ended_in_words(slot: Any, how: str) -> str:
    name = _signal_of(how)
    what = _reading_of(slot)
    if slot is not None and (name == "SIGALRM" or _is_late(slot)):
        return (
            f"Reading {what} did not end within {slot['limit_s']:.3g} s, and its worker was ended. "
            "Play the file, encode it again or leave the record out; or give it more time with "
            "--media_timeout_s."
        )
    code = _EXIT_CODE.search(how)
    told = name or (f"exit code {code[1]}" if code else "how is not known")
    why = {
        "SIGKILL": " The memory of the machine may have run out: take fewer workers "
        "(--dataloader_num_workers) or fewer or smaller frames.",
        "SIGBUS": " Shared memory may have run out: look at /dev/shm, and take fewer workers "
        "(--dataloader_num_workers).",
    }.get(name, "")
    return (
        f"A worker ended while reading {what} ({told}).{why} Look at the file with `flipbook data "
        "check`, and encode it again or leave the record out."
    )


def _stuck_in_words(waited_s: str) -> str:
    slots = [slot for one in list(_readings) for slot in one.slots if slot["record"]]
    late = [slot for slot in slots if _is_late(slot)] or slots
    what = " and ".join(_reading_of(slot) for slot in late) or "nothing that is known"
    return (
        f"No worker gave a batch within {waited_s} s. Being read: {what}. The system could not end "
        "that: look at the disk, play the file, or give more time with --media_timeout_s."
    )


def _reading_of(slot: Any) -> str:
    if slot is None:
        return "nothing that is known"
    return described(_in_words(slot["record"]), _in_words(slot["file"]))


def _signal_of(how: str) -> str:
    """Return the name of the signal that ended a worker; empty where none did."""
    found = _SIGNAL.search(how)
    if found is None:
        return ""
    known = {signal.strsignal(one): one.name for one in signal.Signals}
    return known.get(found["words"], found["words"])


def _is_late(slot: Any, *, by_s: float = 0.0) -> bool:
    """Return whether a worker is at a file for longer than it may be."""
    limit_s = float(slot["limit_s"])
    return limit_s > 0 and time.monotonic() - float(slot["since_s"]) > limit_s + by_s


def _process_of(slot: Any) -> psutil.Process:
    """Return the process of a worker.

    Raises:
        psutil.NoSuchProcess: it is gone, or has not begun.
    """
    pid = int(slot["pid"])
    if not pid or psutil.Process(pid).create_time() != slot["began_s"]:
        raise psutil.NoSuchProcess(pid)
    return psutil.Process(pid)


def _wait_for_end(process: psutil.Process) -> None:
    """Wait until a process has ended, and leave it to others to ask how."""
    end_s = time.monotonic() + END_S
    while time.monotonic() < end_s and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.02)


def _has_alarm() -> bool:
    return hasattr(signal, "setitimer")


def _in_bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")[:MOST_BYTES]


def _in_words(held: bytes) -> str:
    return bytes(held).decode("utf-8", "replace")
