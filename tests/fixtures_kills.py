"""How do tests let a process die at every instant of a save?

action, k  ->  a child process that dies by SIGKILL at its k-th file event, or lives to the end
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate"}


def dies_at(event: int, action: Callable[[], object]) -> bool:
    """Return whether a child that does something died at its k-th file event.

    Events are what Python does to files, every `fsync`, and every file of weights twice: before it
    is written, and when half of it is.
    """
    child = os.fork()
    if child == 0:
        try:
            _count_down(event)
            action()
            os._exit(0)
        finally:
            os._exit(70)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"the child failed at event {event}"
    return False


def _count_down(event: int) -> None:
    import safetensors.torch

    left = [event]

    def tick(before_death: Callable[[], object] = lambda: None) -> None:
        left[0] -= 1
        if left[0] == 0:
            before_death()
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(name: str, args: tuple[Any, ...]) -> None:
        if name in EVENTS and not (name == "open" and not _writes(args)):
            tick()

    real_sync, real_write = os.fsync, safetensors.torch.serialize_file

    def sync(handle: int) -> None:
        tick()
        real_sync(handle)

    def write(tensors: Any, path: Any, **kwargs: Any) -> None:
        tick()
        real_write(tensors, path, **kwargs)
        tick(lambda: os.truncate(path, Path(path).stat().st_size // 2))

    os.fsync = sync
    safetensors.torch.serialize_file = write
    sys.addaudithook(hook)


def _writes(args: tuple[Any, ...]) -> bool:
    flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
