"""Which file does a manifest mean, and may it be opened?

    a path in a record -> Media with an absolute path inside a folder that the user named

A manifest may come from anywhere, so it reaches only files in its own folder or in the image
folder, also when links or `..` are followed, and never an address on the network.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from flipbook.data.turns import Media
from flipbook.errors import ArgumentError, MediaError, RecordError
from flipbook.video.decode import is_video_file
from flipbook.video.paths import checked_file

_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]+://|^data:")


class MediaFolders:
    """The folders in which the media of one manifest may lie.

    Args:
        manifest_path: its folder is one of them.
        image_folder: another one; relative paths begin here if it is given.

    Raises:
        ArgumentError: `image_folder` is no folder.
    """

    def __init__(
        self, manifest_path: str | os.PathLike[str], image_folder: str | os.PathLike[str] | None
    ) -> None:
        manifest_folder = Path(manifest_path).absolute().parent
        if image_folder is not None and not Path(image_folder).is_dir():
            raise ArgumentError(
                f"--image_folder {os.fspath(image_folder)} is no folder; check its spelling"
            )
        self.start = manifest_folder if image_folder is None else Path(image_folder).absolute()
        folders = {os.path.realpath(self.start): None, os.path.realpath(manifest_folder): None}
        self.folders = tuple(folders)
        self._found: dict[str, Media] = {}

    def find(self, path: object, *, record_id: str) -> Media:
        """Return the video or image that a record names.

        Raises:
            RecordError: `path` is no text, is an address, leads outside the folders, or names no
                regular file with content.
        """
        if not isinstance(path, str) or not path:
            raise RecordError(record_id, f"a media path is {path!r}; it must be the path of a file")
        if path not in self._found:
            self._found[path] = self._look_up(path, record_id)
        return self._found[path]

    def _look_up(self, path: str, record_id: str) -> Media:
        if _ADDRESS.match(path):
            raise RecordError(
                record_id,
                f"{path[:200]} is an address, and only local files are read; download it and name "
                "the file",
            )
        absolute = os.path.abspath(os.path.join(self.start, path))
        try:
            real = os.path.realpath(absolute)
        except ValueError as error:
            raise RecordError(
                record_id, f"{path!r} is no name that a file can have; mend it"
            ) from error
        if not any(_is_inside(real, folder) for folder in self.folders):
            raise RecordError(
                record_id,
                f"{path} leads outside of {' and '.join(self.folders)}; move the file there or "
                "name its folder with --image_folder",
            )
        try:
            checked_file(absolute)
        except MediaError as error:
            raise RecordError(record_id, str(error)) from error
        return Media("video" if is_video_file(absolute) else "image", absolute)


def _is_inside(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder
