"""How does a file or a folder come to be there whole, or not at all?

text, bytes or plain values  ->  the file, under its name when all of it is on the disk
a name                       ->  a folder for results, or a refusal that says where
a folder that is complete    ->  its name, in one step, with what was there before it gone

"On the disk" means after `fsync`: a machine that loses its power keeps it.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from flipbook.errors import StorageError

PREVIOUS = ".{}.previous"  # what stood under a name while it is being replaced
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux: man 2 rename


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write into under another name, make it last, and name it in one step.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(staged).chmod(0o644)
        Path(staged).replace(path)
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise
    sync_names(path.parent)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file: all of it, or nothing.

    Raises:
        OSError: as `written_whole`.
    """
    with written_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_json_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain values as JSON, whole or not at all.

    Raises:
        OSError: as `write_whole`.
        ValueError: a number is not finite, which JSON does not know.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + "\n")


def make_folder(folder: Path) -> None:
    """Make a folder for results, and those above it, where they are not there.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder}: cannot be made ({error.strerror}); name another folder"
        ) from error


def check_folder(folder: Path) -> None:
    """Check that a folder for results can be made and written to; leave nothing of the trial.

    Raises:
        StorageError: it cannot.
    """
    is_new = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(
            f"{folder}: cannot be written to ({error.strerror}); name another folder"
        ) from error
    finally:
        for one in is_new:
            with suppress(OSError):
                one.rmdir()


def sync_names(folder: Path) -> None:
    """Make the names in a folder last; its files are not looked at."""
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened, and renaming is on the disk at once
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Make all files and names under a folder last."""
    for place, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                os.fsync(file.fileno())
        sync_names(Path(place))


def put_folder(staged: Path, folder: Path) -> None:
    """Give a complete folder its name; what had that name before is deleted afterwards.

    At every instant there is the old one or the new one, under the name itself where the system
    can exchange two names, else at worst under that of `PREVIOUS`: see `bring_back`.

    Raises:
        OSError: it cannot be renamed.
    """
    old = folder.with_name(PREVIOUS.format(folder.name))
    if not folder.exists():
        staged.rename(folder)
    elif _exchange(staged, folder):
        sync_names(folder.parent)
        staged.rename(old)
    else:
        folder.rename(old)
        staged.rename(folder)
    sync_names(folder.parent)
    sync_names(staged.parent)
    shutil.rmtree(old, ignore_errors=True)


def bring_back(folder: Path) -> None:
    """Put right what a process that died within `put_folder` left."""
    old = folder.with_name(PREVIOUS.format(folder.name))
    if not old.is_dir():
        return
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.rename(folder)
        sync_names(folder.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where this system or file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
