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
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import torch
from numpy.typing import NDArray
from torch.utils.data._utils import signal_handling

from flipbook.data.turns import Media
from flipbook.data.workers.ends import told_of
from flipbook.data.workers.limits import limit_memory, time_for
from flipbook.data.workers.slots import SLOT, in_bytes, is_gone, is_late, process_of
from flipbook.data.workers.working import told_to
from flipbook.errors import WorkerError

GRACE_S = 10.0  # later than its own alarm is a worker ended from outside
LOOK_S = 1.0  # between two looks at all workers
END_S = 10.0  # in which a process that was ended is gone
STARTING_S = 300.0  # in which workers begin, on a busy machine
MOST_SLOW = 2  # files that are as large as they may be count so many times


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
        self._memory = torch.zeros(num_workers * SLOT.itemsize, dtype=torch.uint8)
        self._memory.share_memory_()  # type: ignore[no-untyped-call]
        _readings.add(self)
        watch = threading.Thread(target=_watch, args=(weakref.ref(self),), daemon=True)
        watch.start()

    @property
    def slots(self) -> NDArray[Any]:
        """One for each worker, as it is now."""
        return self._memory.numpy().view(SLOT)

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
        with _unheard():
            for slot in self.slots:
                with suppress(psutil.Error):
                    process = process_of(slot)
                    process.kill()
                    _wait_for_end(process)

    def end_late(self) -> None:
        """End the workers that read for too long, and that their own alarm does not reach."""
        for slot in self.slots:
            if is_late(slot, by_s=GRACE_S):
                with suppress(psutil.Error):
                    process_of(slot).kill()


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
        slot["record"] = in_bytes(record)
        slot["file"] = b"" if item is None else in_bytes(item.path)
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


def _told_of(error: Exception) -> str | None:
    """Return what happened to a worker; the library may tell of it in the midst of this, too."""
    while True:
        try:
            return told_of(error, [slot for one in list(_readings) for slot in one.slots])
        except RuntimeError as further:  # after which comes the error before it
            error = further


def end_workers() -> None:
    """End all workers of this process, whose work nobody wants any more.

    The library waits for each of them for seconds, and for ever for one that is stopped.
    """
    for readings in list(_readings):
        readings.end()


def _wait_for_end(process: psutil.Process) -> None:
    """Wait until a process has ended with all its threads, and leave it to others to ask how."""
    end_s = time.monotonic() + END_S
    while time.monotonic() < end_s and not is_gone(process.pid):
        time.sleep(0.02)


@contextmanager
def _unheard() -> Iterator[None]:
    """Let the library not tell that workers ended, for they were meant to."""
    if threading.current_thread() is not threading.main_thread() or not _has_alarm():
        yield
        return
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        yield
    finally:
        while _is_one_told():
            pass
        signal.signal(signal.SIGCHLD, before)


def _is_one_told() -> bool:
    """Return whether the library tells of one of its loaders, as it does once for each."""
    try:
        tell_of_ended: Any = signal_handling._error_if_any_worker_fails  # type: ignore[attr-defined]
        tell_of_ended()
    except RuntimeError:
        return True
    return False


def _has_alarm() -> bool:
    return hasattr(signal, "setitimer")
