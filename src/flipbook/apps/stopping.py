"""How does a command end that is asked to stop?

    SIGTERM, SIGHUP, SIGUSR1  ->  AskedToStop, raised where the command is, as Ctrl-C does

A run that trains notes them instead: see `train/signals.py`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from flipbook.errors import AskedToStop

STOPPING = ("SIGTERM", "SIGHUP", "SIGUSR1")  # as Ctrl-C: a scheduler, a closed terminal, SLURM
AGAIN_S = 0.05  # after which a finalizer is over


@contextmanager
def obeying_signals() -> Iterator[None]:
    """Let signals that ask a process to stop end it as Ctrl-C does, with all that cleans up.

    Raises:
        AskedToStop: one of them came.
    """
    own = os.getpid()

    def stop(number: int, _: FrameType | None) -> None:
        if os.getpid() != own:  # a copy of this process, which does as it would without us
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        raise AskedToStop(number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
        # One that was ignored from the start, as under `nohup`, still is.
        obeyed = [n for n in numbers if signal.getsignal(n) is signal.SIG_DFL]
        before = {number: signal.signal(number, stop) for number in obeyed}
    try:
        with _hearing_again():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _hearing_again() -> Iterator[None]:
    """Send a signal again that came within a finalizer, where Python drops what is raised."""
    before = sys.unraisablehook

    def hear(dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            before(dropped)
            return
        number = (*dropped.exc_value.args, signal.SIGINT)[0]  # of AskedToStop, or of Ctrl-C
        threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)).start()

    sys.unraisablehook = hear
    try:
        yield
    finally:
        sys.unraisablehook = before
