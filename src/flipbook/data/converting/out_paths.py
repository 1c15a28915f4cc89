"""How are the paths of media written, so that the new file can be read?

    media below OUT's folder     ->  relative to it; nothing more to say
    media below another folder   ->  relative to that; --image_folder must name it
    media here and there         ->  absolute; --image_folder must name what holds them all

Where the first media lie decides. If later ones lie elsewhere, all is to be written again, with
absolute paths: `is_torn` tells.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from flipbook.data.media_folders import MediaFolders, is_inside
from flipbook.data.turns import Media

_NOWHERE = Path(os.devnull)  # nothing lies below it, so no path is relative to it


class OutPaths:
    """Where the relative paths of one written file begin.

    Args:
        out: the file; its folder needs no name.
        folders: in which the media may lie.
        absolute: write absolute paths, wherever the media lie.
    """

    def __init__(self, out: Path, folders: MediaFolders, *, absolute: bool = False) -> None:
        self.is_torn = False
        self._own = os.path.realpath(out.parent)
        self._start = os.path.realpath(folders.start)
        self._folders = folders
        self._out_folder = out.parent
        self._folder: Path | None = _NOWHERE if absolute else None
        self._roots: set[str] = set()

    @property
    def folder(self) -> Path:
        """Where relative paths begin."""
        return self._folder if self._folder is not None else self._out_folder

    @property
    def image_folder(self) -> Path | None:
        """What --image_folder must name when the file is read; None for nothing."""
        outside = self._roots - {self._own}
        return Path(os.path.commonpath(outside)) if outside else None

    def add(self, media: Sequence[Media]) -> None:
        """Take note of the media of one record."""
        for item in media:
            for path in item.frames or (item.path,):
                self._add(_real_path(path))

    def _add(self, path: str) -> None:
        root = self._root_of(path)
        if self._folder is None:
            own_or_start = {self._own: self._out_folder, self._start: self._folders.start}
            self._folder = own_or_start.get(root, _NOWHERE)
        self._roots.add(root)
        is_relative = self._folder != _NOWHERE
        self.is_torn = is_relative and self._roots - {self._own} not in self._whole()

    def _whole(self) -> tuple[set[str], ...]:
        """Return which folders beside OUT's may be needed while paths are relative."""
        return (set(),) if self._folder == self._out_folder else (set(), {self._start})

    def _root_of(self, path: str) -> str:
        """Return in which folder a path lies: OUT's, the one where media begin, or another."""
        begins = (self._own, self._start)
        if self._folder == self._folders.start:
            begins = (self._start, self._own)
        roots = (*begins, *self._folders.folders)
        return next((root for root in roots if is_inside(path, root)), os.path.dirname(path))


def _real_path(path: str) -> str:
    folder, name = os.path.split(path)
    real = os.path.join(_real_folder(folder), name)
    return os.path.realpath(real) if os.path.islink(real) else real


@lru_cache(maxsize=1 << 12)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)
