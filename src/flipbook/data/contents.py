"""What is in this file, and is it still the file that it was?

    path -> hash of its content, read once and remembered for as long as the file stays as it is

A file counts as unchanged while its size, its times of change and its place on the disk are those
at which it was read. The time of the last change of its status (`ctime`) is among them: no program
can set that one back, so a file that is overwritten and given its old date is read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import xxhash

from flipbook.errors import MediaError
from flipbook.video.paths import checked_file

# Two changes within one tick of the clock of a file system cannot be told apart; 2 s is the
# coarsest (FAT). A file younger than that is read anew.
YOUNG_NS = 2_000_000_000
MAX_REMEMBERED = 16_384  # of each process in memory, about 8 MB


class Stamp(NamedTuple):
    """What changes when a file does."""

    num_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int


class ContentHashes:
    """The hashes of files, remembered in memory and in a folder.

    Args:
        folder: where they are remembered for other processes and for the next run. One that
            cannot be written to is no fault: files are then read once by each process.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._known: dict[str, tuple[Stamp, str]] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.folder, "_known": {}}

    def hash_of(self, path: str | os.PathLike[str]) -> str:
        """Return the hash of a file's content, 32 hexadecimal digits.

        Raises:
            MediaError: it is no readable, regular, local file.
        """
        name = os.path.abspath(checked_file(path))
        try:
            stamp = stamp_of(os.stat(name))
            known = self._known.get(name) or self._recall(name)
            if known is not None and known[0] == stamp:
                self._keep(name, known)
                return known[1]
            with open(name, "rb") as file:
                before = stamp_of(os.fstat(file.fileno()))
                content = hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()
                after = stamp_of(os.fstat(file.fileno()))
        except OSError as error:
            raise MediaError(
                name, f"cannot be read ({error}); copy or download it again"
            ) from error
        if before == after and not _is_young(after):
            self._keep(name, (after, content))
            self._note(name, after, content)
        return content

    def _keep(self, name: str, known: tuple[Stamp, str]) -> None:
        if len(self._known) >= MAX_REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[name] = known

    def _place(self, name: str) -> Path:
        number = xxhash.xxh3_128_hexdigest(os.fsencode(name))
        return self.folder / number[:2] / number

    def _recall(self, name: str) -> tuple[Stamp, str] | None:
        """Return what the folder says of a file; None for nothing, or nothing sound."""
        place = self._place(name)
        if not place.is_file():  # a pipe would be waited for
            return None
        try:
            words = place.read_text(encoding="ascii").split()
            *numbers, content, seal = words
            stamp = Stamp(*map(int, numbers))
        except (OSError, ValueError, TypeError):
            return None
        return (stamp, content) if seal == _seal(name, stamp, content) else None

    def _note(self, name: str, stamp: Stamp, content: str) -> None:
        text = " ".join([*map(str, stamp), content, _seal(name, stamp, content)])
        with contextlib.suppress(OSError):
            replace_file(self._place(name), text.encode("ascii"), staging=self.folder)


def replace_file(path: Path, content: bytes, *, staging: Path) -> None:
    """Write a file that is seen whole or not at all, whoever else writes it at the same time.

    Args:
        staging: a folder on the same disk, where the unfinished file lies.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging.mkdir(parents=True, exist_ok=True)
    unfinished = staging / f"{path.name}.{uuid.uuid4().hex}.unfinished"
    try:
        with open(unfinished, "xb") as file:
            file.write(content)
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what of a file's status changes when the file does."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _is_young(stamp: Stamp) -> bool:
    now_ns = time.time_ns()
    return any(abs(now_ns - then) < YOUNG_NS for then in (stamp.modified_ns, stamp.changed_ns))


def _seal(name: str, stamp: Stamp, content: str) -> str:
    """Return what proves that a note is whole and about this file."""
    return xxhash.xxh3_64_hexdigest(os.fsencode(f"{name} {tuple(stamp)} {content}"))
