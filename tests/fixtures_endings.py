"""How do files end that nobody wants to have?

Media("video", "/clips/hang.mp4")  ->  work on it never ends; other names crash, fail or swell

Workers import this module, so it takes no more with it than it needs.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from flipbook.data.doctor.examine import Examined
from flipbook.data.turns import Media

BYTES_TOO_MANY = 1 << 30


class UnsendableError(Exception):
    """An error that no other process can make again."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


def end_as_named(item: Media, **_: Any) -> Examined:
    """Do what the name of a file says, in the process of a worker."""
    name = Path(item.path).stem
    if name.startswith("hang"):
        time.sleep(600)
    if name.startswith("die"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("fail"):
        raise ValueError("a fault that\nnobody expects")
    if name.startswith("odd"):
        raise UnsendableError(1, 2)
    if name.startswith("swell"):
        bytearray(BYTES_TOO_MANY)
    return Examined(num_frames=len(name))
