"""What is done in processes that end badly."""

from __future__ import annotations

import os
import signal


def die(_: object) -> None:
    """End this process as a crash would."""
    os.kill(os.getpid(), signal.SIGKILL)
