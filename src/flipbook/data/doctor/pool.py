"""How are files read that may hang, crash, or take all memory?

    items, work -> (item, Examined), in the order in which they are ready

Each is read in one of a few processes that are kept. One that takes too long is ended and replaced,
and costs the file that it was reading; so does one that dies. Processes begin as copies of a small
server that has opened nothing, so no reader, lock or device of the parent comes along.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import chain
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

import torch
from pebble import ProcessExpired, ProcessPool

from flipbook.data.doctor.examine import Examined
from flipbook.data.doctor.findings import Finding
from flipbook.data.turns import Media
from flipbook.data.workers.limits import MEMORY_ROOM_BYTES, limit_memory, time_for
from flipbook.errors import WorkerError, one_line

Work = Callable[[Media], Examined]

STOP_S = 30.0  # in which a process can be ended, or the pool is taken for broken
MOST_BROKEN = 3  # pools, until it is given up
_OWN_SIGNALS = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE")

_logger = logging.getLogger("flipbook")


def run_in_pool(
    work: Work,
    items: Iterator[Media],
    *,
    num_workers: int,
    timeout_s: float,
    room_bytes: int = MEMORY_ROOM_BYTES,
) -> Generator[tuple[Media, Examined], None, None]:
    """Yield items with what `work` found in each; close it to end all processes.

    Args:
        work: a function that can be sent to another process.
        items: no two equal; taken one by one, shortly before they are worked on.
        timeout_s: how long one may take; large files have more.
        room_bytes: how much memory a process may take for its work.

    Raises:
        WorkerError: no processes can be kept.
    """
    for _ in range(MOST_BROKEN):
        handed: dict[Media, Future[Examined] | None] = {}
        others = multiprocessing.active_children()
        pool = ProcessPool(
            num_workers,
            initializer=_begin_worker,
            initargs=(room_bytes,),
            context=process_context(),
        )
        try:
            yield from _results(
                pool, work, items, handed, most=2 * num_workers, timeout_s=timeout_s
            )
        except BrokenProcessPool as error:
            _logger.warning("the processes that read media were ended (%s); they begin anew", error)
            items = chain(handed, items)
        else:
            return
        finally:
            _stop(pool, spared=others)
    raise WorkerError(
        "the processes that read media do not stay alive; check again with --num_workers 1. A "
        'script of your own must call this under `if __name__ == "__main__":`'
    )


def process_context() -> BaseContext:
    """Return how processes begin: as copies of a server that has imported what they need."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class ReadingFailedError(Exception):
    """What went wrong in a worker, in words; any error can be told so to another process."""


def verdict_on(error: BaseException, item: Media, *, timeout_s: float) -> Examined:
    """Return what is found in a file whose reading ended in an error that nobody expected."""
    words = "" if isinstance(error, ReadingFailedError) else f"{type(error).__name__}: "
    code, reason = "crashed", f"reading it failed ({words}{error})"
    if isinstance(error, TimeoutError):
        code = "hanging"
        reason = (
            f"was not read within {timeout_s:.0f} s; play it, encode it again, or allow more time "
            "with --file_timeout_s"
        )
    elif isinstance(error, MemoryError) or "allocate memory" in str(error):
        code = "memory"
        reason = (
            f"needs more than {MEMORY_ROOM_BYTES / (1 << 30):.0f} GiB of memory to be read; it is "
            "damaged, or is to be scaled down"
        )
    elif isinstance(error, ProcessExpired):
        reason = (
            f"ended the process that read it ({_cause_of(error)}); leave it out, or encode it "
            "again with `ffmpeg -i FILE -c:v libx264 whole.mp4`"
        )
    return Examined(fault=Finding(code, one_line(reason), item.path))


def is_lasting(found: Examined) -> bool:
    """Return whether reading a file again would find the same.

    A process that was ended from outside, as where the machine's memory ran out, says nothing of
    the file that it was reading.
    """
    if found.fault is None or found.fault.code != "crashed":
        return True
    return any(f"({name})" in found.fault.reason for name in _OWN_SIGNALS)


def _results(
    pool: ProcessPool,
    work: Work,
    items: Iterator[Media],
    handed: dict[Media, Future[Examined] | None],
    *,
    most: int,
    timeout_s: float,
) -> Iterator[tuple[Media, Examined]]:
    """Yield results of one pool; `handed` holds what is handed out and not yet back.

    Raises:
        BrokenProcessPool: the pool can do no more.
    """
    limits: dict[Media, float] = {}
    while True:
        while len(handed) < most and (item := next(items, None)) is not None:
            handed[item] = None
            limits[item] = time_for(item, timeout_s)
            try:
                handed[item] = pool.schedule(_tell_plainly, args=(work, item), timeout=limits[item])
            except RuntimeError as error:
                raise BrokenProcessPool(str(error)) from error
        if not handed:
            return
        futures = [future for future in handed.values() if future is not None]
        ready, _ = wait(futures, sum(limits.values()) + STOP_S, return_when=FIRST_COMPLETED)
        if not ready:
            raise BrokenProcessPool("none of them answers")
        for item in [item for item, future in handed.items() if future in ready]:
            future = handed[item]
            assert future is not None
            failure = future.exception()
            if isinstance(failure, BrokenProcessPool):
                raise failure
            del handed[item]
            limit_s = limits.pop(item)
            if failure is None:
                yield item, future.result()
            else:
                yield item, verdict_on(failure, item, timeout_s=limit_s)


def _stop(pool: ProcessPool, *, spared: Sequence[BaseProcess]) -> None:
    """End a pool and its processes.

    The pool gives up its locks before it ends those that wait for work, and one that is only just
    beginning would not find them and say so on the terminal. So it is ended first.
    """
    pool.stop()  # type: ignore[no-untyped-call]
    for process in multiprocessing.active_children():
        if process not in spared:
            process.terminate()
    pool.join()


def _tell_plainly(work: Work, item: Media) -> Examined:
    """Do the work; what goes wrong is told in words, for some errors cannot be sent."""
    try:
        return work(item)
    except MemoryError:
        raise
    except Exception as error:
        raise ReadingFailedError(f"{type(error).__name__}: {error}") from error


def _begin_worker(room_bytes: int) -> None:
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    limit_memory(room_bytes)


def _cause_of(error: ProcessExpired) -> str:
    code = error.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
    outside = "; the machine may have run out of memory" if name == "SIGKILL" else ""
    return f"{name}{outside}"
