"""How long may reading a file take, and how much memory?

    Media, seconds  ->  seconds: a large file has more of them
    bytes           ->  this process may take so many, and gets a MemoryError beyond

The rules of every process that reads files which nobody has looked at: those of a check, and those
of training.
"""

from __future__ import annotations

import os
import sys

import psutil

from flipbook.data.shown import files_of
from flipbook.data.turns import Media
from flipbook.errors import MediaError

TIMEOUT_S = 120.0  # of a file, while training or answering
MEMORY_ROOM_BYTES = 4 << 30  # of each process, above what it has when it begins
READS_BYTES_PER_S = 10_000_000  # of a slow disk: large files get the time that it takes


def time_for(item: Media, timeout_s: float) -> float:
    """Return how long reading one may take: the size of its files counts too."""
    try:
        num_bytes = sum(os.stat(path).st_size for path in files_of(item))
    except (MediaError, OSError, ValueError):
        num_bytes = 0
    return timeout_s + num_bytes / READS_BYTES_PER_S


def limit_memory(room_bytes: int) -> None:
    """Let this process take at most `room_bytes` more than it has; for good, and on Linux alone."""
    if sys.platform != "linux":
        return
    import resource

    limit = psutil.Process().memory_info().data + room_bytes
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        limit = min(limit, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
