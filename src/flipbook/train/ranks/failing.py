"""What if one of the processes that train together, or one of their workers, fails or hangs?

    a run, in one process or several  ->  the same, or soon a WorkerError with the records

A process that fails leaves at once, so that `torchrun` ends the others. Those that wait for one
that is gone or hangs wait for `--ddp_timeout` at most, and then tell where it was seen last.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from torch import distributed

from flipbook.data.workers.failing import end_workers, naming_workers
from flipbook.data.workers.watched import watched_reading
from flipbook.data.workers.working import also_told_to
from flipbook.errors import FlipbookError, WorkerError, speaker
from flipbook.train.checkpoints.kept import note_what_is_kept, what_is_kept
from flipbook.train.ranks.heartbeats import Heartbeats, Watch

LEAVES_S = 15.0  # in which a process that failed is gone, whatever it still waits for
SHARE_OF_NCCL = 0.9  # of --ddp_timeout, after which it ends the process without a word
LATER_THAN_GLOO_S = 30.0  # which raises an error that is told
_BROKEN = re.compile(
    r"gloo|Connection (closed|reset) by peer|Broken pipe|Timed out waiting|NCCL|"
    r"process group|store->get|wait timeout",
    re.IGNORECASE,
)
_IN_GROUP = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
Result = TypeVar("Result")
_beats: list[Heartbeats] = []


def join_on_cpu(*, use_cpu: bool, backend: str | None, timeout_s: float) -> None:
    """Join the processes that `torchrun` started, where they compute on CPUs.

    The library leaves the time out there for which one waits for another, so it would be half an
    hour whatever `--ddp_timeout` says.
    """
    is_one_of_several = all(name in os.environ for name in _IN_GROUP)
    if not use_cpu or backend not in (None, "gloo") or not is_one_of_several:
        return
    if int(os.environ["WORLD_SIZE"]) > 1 and not distributed.is_initialized():
        distributed.init_process_group("gloo", timeout=timedelta(seconds=timeout_s))


def in_company(run: Callable[..., Result]) -> Callable[..., Result]:
    """Let a run, whose first argument is its Arguments, end in bounded time whatever fails.

    Raises:
        WorkerError: a worker, or another process, crashed, hung or left.
    """

    @functools.wraps(run)
    def watched(arguments: Any, **kwargs: Any) -> Result:
        args = arguments.training
        with (
            _telling_what_is_kept(args),
            _leaving_at_once(args),
            _naming_ranks(args),
            watched_reading(
                args.media_timeout_s,
                on_late=lambda told: _end(told, args),
                more_time="; or give it more time with --media_timeout_s",
            ),
        ):
            return run(arguments, **kwargs)

    return watched


def beat(phase: str, *, step: int, records: list[str] | None = None) -> None:
    """Tell the other processes, where there are some, what this one begins."""
    for beats in _beats:
        beats.beat(phase, step=step, records=records or [])


@contextmanager
def with_heartbeats(args: Any) -> Iterator[None]:
    """Let the processes tell each other where they are; one alone tells nobody."""
    if args.world_size < 2:
        yield
        return
    own = Heartbeats(Path(args.output_dir), rank=args.process_index, num_ranks=args.world_size)
    watch = Watch(own, limit_s=_limit_s(args), on_silence=lambda s: _end_silent(own, s, args))
    _beats[:] = [own]
    try:
        with also_told_to(own):
            yield
    finally:
        watch.end()


@contextmanager
def _naming_ranks(args: Any) -> Iterator[None]:
    """Tell of another process that left or hangs as a WorkerError that says where it was."""
    try:
        with naming_workers():
            yield
    except RuntimeError as error:  # those of libraries: ours are none
        if args.world_size < 2 or not _BROKEN.search(str(error)):
            raise
        where = _beats[0].told() if _beats else ""
        raise WorkerError(
            f"Another process of this run left, or gave no answer for --ddp_timeout "
            f"{args.ddp_timeout} s. {where} {_CURE}"
        ) from error
    finally:
        _beats.clear()


_CURE = (
    "If it told an error of its own, mend that; look at the files of these records with `flipbook "
    "data check`, and leave out those that hang; raise --ddp_timeout if a process is only slow."
)


@contextmanager
def _telling_what_is_kept(args: Any) -> Iterator[None]:
    try:
        yield
    except WorkerError as error:
        note_what_is_kept(error, Path(args.output_dir))
        raise


@contextmanager
def _leaving_at_once(args: Any) -> Iterator[None]:
    """Let a process that fails be gone soon, for the others wait for it without knowing."""
    try:
        yield
    except BaseException as error:
        end_workers()
        if args.world_size > 1:
            code = error.exit_code if isinstance(error, FlipbookError) else 1
            timer = threading.Timer(LEAVES_S, _leave, args=(code,))
            timer.daemon = True
            timer.start()
        raise


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _limit_s(args: Any) -> float:
    """Return after how long without a sign nothing else will tell of it."""
    if args.device.type == "cpu":
        return float(args.ddp_timeout) + LATER_THAN_GLOO_S
    return SHARE_OF_NCCL * float(args.ddp_timeout)


def _end_silent(beats: Heartbeats, silent: list[int], args: Any) -> None:
    """End this process, since others, or its own main thread, gave no sign."""
    _end(f"Processes gave no sign for {_limit_s(args):.0f} s. {beats.told(silent)} {_CURE}", args)


def _end(told: str, args: Any) -> None:
    """End this process, with the reason; called by a thread, while the main one is stuck."""
    end_workers()
    sys.stderr.write(f"{speaker()}: {told}\n{what_is_kept(Path(args.output_dir))}\n")
    _leave(WorkerError.exit_code)
