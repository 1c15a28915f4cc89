"""May this path be opened at all?

    a path from a manifest -> the path of a readable, regular, local file, or a MediaError

Everything that reads media asks here first, so that no address is ever fetched and no pipe or
device is ever waited for.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from flipbook.errors import MediaError

# Two letters at least, so that a drive letter is not taken for a protocol.
_PROTOCOL = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]+:")

_KINDS = (
    (stat.S_ISDIR, "is a folder", "name a file inside it"),
    (stat.S_ISFIFO, "is a pipe", "write its content to a file first"),
    (stat.S_ISSOCK, "is a socket", "write its content to a file first"),
    (stat.S_ISCHR, "is a device", "name a file"),
    (stat.S_ISBLK, "is a device", "name a file"),
)


def checked_file(path: str | os.PathLike[str]) -> str:
    """Return `path` as text, proven to name a regular local file with content.

    Raises MediaError when it does not exist, is an address, a folder, a pipe, a device, or empty,
    or may not be read.
    """
    name = os.fspath(path)
    try:
        status = os.stat(name)
    except (OSError, ValueError) as error:
        raise MediaError(name, _missing(name, error)) from error
    for is_kind, what, advice in _KINDS:
        if is_kind(status.st_mode):
            raise MediaError(name, f"{what}, not a media file; {advice}")
    if status.st_size == 0:
        raise MediaError(name, "is empty (0 bytes); copy or download it again")
    if not os.access(name, os.R_OK):
        raise MediaError(name, "may not be read; change its permissions")
    return name


def _missing(name: str, error: OSError | ValueError) -> str:
    if _PROTOCOL.match(name):
        return (
            "is an address, and only local files are read; "
            "download it and name the file that you saved"
        )
    if isinstance(error, FileNotFoundError):
        return "does not exist; check the path and the folder that it is joined to"
    return f"cannot be opened ({error}); check the path"


def has_extension(path: str | os.PathLike[str], extensions: frozenset[str]) -> bool:
    """Return whether the file name ends in one of `extensions`, upper or lower case."""
    return Path(os.fspath(path)).suffix.lower() in extensions
