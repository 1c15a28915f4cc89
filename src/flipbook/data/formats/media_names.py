"""Which file is the video of this id?

    "video7010", folder of media  ->  "MSRVTT/videos/video7010.mp4"

Formats that name videos by an id alone find their files here. The folder is walked once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from flipbook.errors import RecordError, did_you_mean
from flipbook.video.decode import is_video_file
from flipbook.video.frames import is_image_file

MOST_DEPTH = 8
_MOST_HINTS = 20  # names that were looked for among all: with thousands of files each costs 0.1 s


class MediaNames:
    """The videos and pictures in a folder and below, by their names without ending.

    Args:
        folder: is walked when the first name is asked for; links to folders are not followed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_stem: dict[str, list[str]] | None = None
        self._by_folder: dict[str, list[str]] | None = None
        self._num_hints = 0

    def has(self, name: object) -> bool:
        """Return whether a clip of this id or file name is there; `find` may still find several."""
        text = str(name)
        is_file = self._is_there(text) or _stem_of(text) in self._stems()
        return is_file or Path(text).name in self._folders()

    def find_folder(self, name: str, *, record_id: str) -> str:
        """Return the path, relative to the folder, of the folder of pictures of an id or path.

        Raises:
            RecordError: there is none, or several.
        """
        if os.path.isdir(self.folder / name):  # False too for what no file can be called
            return name
        return self._only(name, Path(name).name, self._folders(), record_id)

    def find(self, name: object, *, record_id: str) -> str:
        """Return the path, relative to the folder, of the video or picture of an id or file name.

        A name with an ending is looked for as it is first, then anywhere below the folder. Where no
        file has the name, a folder may: its pictures are the clip.

        Raises:
            RecordError: there is none, or several.
        """
        if not isinstance(name, (str, int)) or isinstance(name, bool) or str(name) == "":
            raise RecordError(record_id, f"the name of its video is {name!r}; it must be text")
        text = str(name)
        if self._is_there(text):
            return text
        if _stem_of(text) not in self._stems() and Path(text).name in self._folders():
            return self._only(text, Path(text).name, self._folders(), record_id)
        return self._only(text, _stem_of(text), self._stems(), record_id)

    def _only(self, text: str, key: str, known: dict[str, list[str]], record_id: str) -> str:
        found = known.get(key, [])
        if len(found) == 1:
            return found[0]
        if found:
            raise RecordError(
                record_id,
                f"several files are called {text!r}: {', '.join(sorted(found)[:3])}; rename them",
            )
        raise RecordError(
            record_id,
            f"no video {text!r} in {self.folder}; download it or name its folder with "
            f"--image_folder.{self._hint(key, known)}",
        )

    def _hint(self, key: str, known: dict[str, list[str]]) -> str:
        self._num_hints += 1
        return did_you_mean(key, known) if self._num_hints <= _MOST_HINTS else ""

    def _is_there(self, text: str) -> bool:
        try:
            return _has_media_ending(text) and (self.folder / text).is_file()
        except (OSError, ValueError):
            return False

    def _stems(self) -> dict[str, list[str]]:
        if self._by_stem is None:
            self._by_stem = {}
            for path in walk_media(self.folder):
                self._by_stem.setdefault(Path(path).stem, []).append(path)
        return self._by_stem

    def _folders(self) -> dict[str, list[str]]:
        if self._by_folder is None:
            paths = (path for found in self._stems().values() for path in found)
            folders = {os.path.dirname(path) for path in paths if is_image_file(path)}
            self._by_folder = {}
            for folder in sorted(folders):
                self._by_folder.setdefault(os.path.basename(folder), []).append(folder)
        return self._by_folder


def walk_media(folder: Path) -> Iterator[str]:
    """Yield the paths of videos and pictures below a folder, relative to it, in order."""
    for root, folders, names in os.walk(folder):
        relative = os.path.relpath(root, folder)
        depth = 0 if relative == os.curdir else relative.count(os.sep) + 1
        folders[:] = sorted(_visible(folders)) if depth < MOST_DEPTH else []
        for name in sorted(_visible(names)):
            if is_video_file(name) or is_image_file(name):
                yield name if depth == 0 else f"{relative}/{name}".replace(os.sep, "/")


def _has_media_ending(text: str) -> bool:
    return is_video_file(text) or is_image_file(text)


def _stem_of(text: str) -> str:
    """Return the name of a video or picture without folders and ending."""
    name = Path(text).name
    return Path(name).stem if _has_media_ending(name) else name


def _visible(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]
