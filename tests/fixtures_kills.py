"""How do tests let a process die at every instant of a save?

action, k        ->  a child process that dies by SIGKILL at its k-th file event, or lives on
action, call, k  ->  one that dies when it makes a system call for the k-th time
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
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


# What a save may do to files, also below Python.
SYSTEM_CALLS = (
    *("openat", "write", "pwrite64", "fsync", "ftruncate", "rename", "renameat2", "mkdir"),
    *("unlink", "rmdir", "chmod", "msync"),
)
HUNG_S = 60


def can_trace() -> bool:
    """Return whether `strace` is here and may look into processes."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0


def dies_at_call(call: str, number: int, action: Callable[[], object]) -> bool:
    """Return whether a child that does something died at its so-many-th call of the system."""
    child = os.fork()
    if child == 0:
        try:
            os.kill(os.getpid(), signal.SIGSTOP)
            action()
            os._exit(0)
        finally:
            os._exit(70)
    os.waitpid(child, os.WUNTRACED)
    words = ["strace", "-f", "-p", str(child), "-e", f"trace={call}", "-o", os.devnull]
    kill = ["-e", f"inject={call}:signal=KILL:when={number}"]
    tracer = subprocess.Popen([*words, *kill], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    told = tracer.stderr.readline()
    assert "attached" in told, told
    os.kill(child, signal.SIGCONT)
    try:
        tracer.communicate(timeout=HUNG_S)  # it ends when the child does
    except subprocess.TimeoutExpired:
        os.kill(child, signal.SIGKILL)
        tracer.kill()
        tracer.communicate()
        raise
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, (call, number)
    return os.WIFSIGNALED(status)


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
