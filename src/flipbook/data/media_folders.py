"""Which file does a manifest mean, and may it be opened?

    a path in a record -> Media with an absolute path inside a folder that the user named

A manifest may come from anywhere, so it reaches only files in its own folder or in the image
folder, also when links or `..` are followed, and never an address on the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from flipbook.data.turns import Media, MediaKind
from flipbook.errors import ArgumentError, ManifestError, MediaError, RecordError
from flipbook.video.decode import is_video_file
from flipbook.video.frame_files import list_frame_files
from flipbook.video.frames import is_image_file
from flipbook.video.paths import checked_file

ValueT = TypeVar("ValueT")

_FILE_ADDRESS = "file://"
_LOCAL_ADDRESS = "file:///"  # of this machine: an absolute path follows
_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]+://|^data:")


_MOST_REMEMBERED = 1 << 16  # files and folders, so that a million clips take no more memory


class MediaFolders:
    """The folders in which the media of one manifest may lie.

    Args:
        manifest_path: its folder is one of them.
        image_folder: another one; relative paths begin here if it is given.
        extracted: a third one, for media that lay inside of a file.
        looks_up: whether `find` looks for the file; if not, `check` is to be asked later.

    Raises:
        ArgumentError: `image_folder` is no folder.
    """

    def __init__(
        self,
        manifest_path: str | os.PathLike[str],
        image_folder: str | os.PathLike[str] | None,
        *,
        extracted: Path | None = None,
        looks_up: bool = True,
    ) -> None:
        manifest_folder = Path(manifest_path).absolute().parent
        if image_folder is not None and not Path(image_folder).is_dir():
            raise ArgumentError(
                f"--image_folder {os.fspath(image_folder)} is no folder; check its spelling"
            )
        self.start = manifest_folder if image_folder is None else Path(image_folder).absolute()
        named = (self.start, manifest_folder, *((extracted,) if extracted is not None else ()))
        own = [os.path.realpath(folder) for folder in named]
        self.folders = tuple(dict.fromkeys([*own, *filter(None, map(_blobs_of, own))]))
        self._looks_up = looks_up
        self._found: dict[str, Media] = {}
        self._real_folders: dict[str, str] = {}

    def find(self, path: object, *, record_id: str, kind: MediaKind | None = None) -> Media:
        """Return the video or image that a record names.

        Args:
            kind: as which it is announced. What ends like a video is one all the same, and what
                ends like neither is what it is announced as: a folder of pictures has no ending.

        Raises:
            RecordError: `path` is no text or is an address; or, where files are looked for, as
                `check` says.
        """
        if not isinstance(path, str) or not path:
            raise RecordError(record_id, f"a media path is {path!r}; it must be the path of a file")
        key = f"{kind} {path}"
        if key not in self._found:
            absolute = self._absolute(path, record_id)
            is_video = is_video_file(absolute) or (kind == "video" and not is_image_file(absolute))
            media = Media("video" if is_video else "image", absolute)
            if self._looks_up:
                self.check(media, record_id=record_id)
            _remember(self._found, key, media)
        return self._found[key]

    def find_frames(self, paths: Sequence[object], *, record_id: str) -> Media:
        """Return the clip that a list of pictures makes.

        Raises:
            RecordError: it names no picture, or as `find` says of each.
        """
        pictures = tuple(self.find(path, record_id=record_id).path for path in paths)
        for path in pictures:
            if not is_image_file(path):
                raise RecordError(
                    record_id, f"{path} stands in a list of pictures and is none; name pictures"
                )
        if not pictures:
            raise RecordError(record_id, "a clip is an empty list; list its pictures")
        return Media("video", os.path.dirname(pictures[0]), pictures)

    def check(self, media: Media, *, record_id: str) -> None:
        """Check that a video or image may be opened, as far as can be told without opening it.

        Raises:
            RecordError: it leads outside the folders, is no regular file with content, and no
                folder of pictures either.
        """
        for path in media.frames or (media.path,):
            self._check_path(path, may_be_folder=media.kind == "video", record_id=record_id)

    def _check_path(self, path: str, *, may_be_folder: bool, record_id: str) -> None:
        real = self._real_path(path)
        if not any(is_inside(real, folder) for folder in self.folders):
            raise RecordError(
                record_id,
                f"{path} leads outside of {' and '.join(self.folders)}; move the file there "
                "or name its folder with --image_folder",
            )
        try:
            if may_be_folder and os.path.isdir(path):
                list_frame_files(path)
            else:
                checked_file(path)
        except MediaError as error:
            raise RecordError(record_id, str(error)) from error

    def _absolute(self, path: str, record_id: str) -> str:
        path = path.removeprefix(_FILE_ADDRESS) if path.startswith(_LOCAL_ADDRESS) else path
        if _ADDRESS.match(path):
            raise RecordError(
                record_id,
                f"{path[:200]} is an address, and only local files are read; download it and name "
                "the file",
            )
        if not _is_file_name(path):
            raise RecordError(record_id, f"{path!r} is no name that a file can have; mend it")
        return os.path.abspath(os.path.join(self.start, path))

    def _real_path(self, path: str) -> str:
        """Return a path without links; each folder is followed once."""
        folder, name = os.path.split(path)
        if folder not in self._real_folders:
            _remember(self._real_folders, folder, os.path.realpath(folder))
        real = os.path.join(self._real_folders[folder], name)
        return os.path.realpath(real) if os.path.islink(real) else real


def _remember(memory: dict[str, ValueT], key: str, value: ValueT) -> None:
    if len(memory) >= _MOST_REMEMBERED:
        memory.clear()
    memory[key] = value


def _is_file_name(path: str) -> bool:
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def found_in(path: Path, folder: Path) -> Path:
    """Return the path of a file that nobody named, and that lies in a folder that someone named.

    Raises:
        ManifestError: it is a link that leads out of the folder.
    """
    real, own = os.path.realpath(path), os.path.realpath(folder)
    if any(is_inside(real, place) for place in (own, _blobs_of(own)) if place is not None):
        return path
    raise ManifestError(
        f"{path}: is a link that leads out of {folder}, and only files in it are read; put the "
        "file itself there, or name it"
    )


def _blobs_of(folder: str) -> str | None:
    """Return where the files of a folder lie that the hub's cache keeps as links, if it does.

    models--owner--name/snapshots/REVISION/a.mp4  ->  models--owner--name/blobs/HASH
    """
    owner, mark, rest = folder.rpartition(f"{os.sep}snapshots{os.sep}")
    if not mark or os.sep in rest:
        return None
    blobs = os.path.join(owner, "blobs")
    return blobs if os.path.realpath(blobs) == blobs and os.path.isdir(blobs) else None


def is_inside(path: str, folder: str) -> bool:
    """Return whether a path lies in a folder; neither has links in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
