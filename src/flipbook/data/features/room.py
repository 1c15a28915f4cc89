"""How much may still be written into a folder that several processes fill?

    folder, bound -> yes or no, for each file

A process knows what it wrote itself, and looks again at what all have written each time it has
used up an eighth of what was left. So the bound may be passed by a little where many write, and no
process ever waits for another.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

SHARE_KEPT_FREE = 0.1  # of what is free at the start, where no bound is given


class Room:
    """What is left of a folder's bound.

    Args:
        folder: with all below it.
        max_bytes: the most that it may hold; None keeps a tenth of what is free now free.
    """

    def __init__(self, folder: Path, max_bytes: int | None) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._kept_free = int(SHARE_KEPT_FREE * _free_bytes(folder))
        self._left = self._until_look = 0

    def has(self, num_bytes: int) -> bool:
        """Return whether a file of this size still fits."""
        if self.max_bytes is None:
            return _free_bytes(self.folder) - num_bytes >= self._kept_free
        if num_bytes > min(self._left, self._until_look):
            self._left = self.max_bytes - folder_bytes(self.folder)
            self._until_look = max(self._left // 8, self.max_bytes // 256, num_bytes)
        return num_bytes <= self._left

    def add(self, num_bytes: int) -> None:
        """Count a file that was written."""
        self._left -= num_bytes
        self._until_look -= num_bytes

    def reason(self) -> str:
        """Return why a file does not fit."""
        if self.max_bytes is None:
            return f"only {_gb(_free_bytes(self.folder))} GB of the disk are free"
        return f"it has reached {_gb(self.max_bytes)} GB, its bound"


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder and below; 0 where there is none."""
    return sum(_sizes(folder))


def _sizes(folder: str | Path) -> Iterator[int]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                    continue
                try:
                    yield entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:  # another process has just finished or removed it
                    continue
    except (FileNotFoundError, PermissionError):
        return


def _free_bytes(folder: Path) -> int:
    """Return what is free on the disk on which a folder lies, or is to be made."""
    while not os.path.exists(folder) and folder != folder.parent:  # or no right to look
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f}"
