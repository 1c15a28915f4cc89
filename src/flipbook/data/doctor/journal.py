"""Which files were read before, just as they are now and just as they would be read now?

    OUT/journal.jsonl  <->  Media, ClipSettings -> Examined

A line is written as soon as a file is read, so a pass that is stopped loses at most the files that
are being read. A file that has changed, another stretch of it, other settings and another version
of what reads it have other keys. Lines that are damaged are as good as not there.
"""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

from xxhash import xxh3_64_hexdigest, xxh3_128_hexdigest

from flipbook.data.contents import stamp_of
from flipbook.data.doctor.examine import Examined
from flipbook.data.shown import files_of
from flipbook.data.turns import Media
from flipbook.errors import MediaError, StorageError
from flipbook.video.settings import ClipSettings

_PACKAGES = ("flipbook-vlm", "av", "pillow", "torch")


class Journal:
    """What earlier passes found, and a file to which this one adds; a context manager.

    Args:
        path: is made if it is not there.
        settings: of the run.
        timeout_s: how long a file may take; what took less time before and was not ready is
            tried again.
    """

    def __init__(self, path: Path, *, settings: ClipSettings, timeout_s: float) -> None:
        self.path = path
        self._settings = settings
        self._timeout_s = timeout_s
        self._code = [*map(version, _PACKAGES), _code_state()]
        self._known: dict[str, Examined] = {}
        self._file: TextIO | None = None

    def __enter__(self) -> Journal:
        """Read what is there, and open it to add more.

        Raises:
            StorageError: it cannot be read or written.
        """
        try:
            is_cut = self._read()
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"{self.path}: cannot be written ({error.strerror}); name another folder with --out"
            ) from error
        if is_cut:
            self._file.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def key_of(self, item: Media) -> str | None:
        """Return a word that is another one whenever reading a file might find something else.

        None for what is not there.
        """
        how = item.view.over(self._settings).clip_kwargs()
        if item.kind == "image":
            how = {name: how[name] for name in ("frame_size", "aspect")}
        try:
            stamps = [stamp_of(os.stat(path)) for path in files_of(item)]
        except (MediaError, OSError):
            return None
        parts = [self._code, item.kind, item.path, item.frames, item.view.as_dict(), how]
        return xxh3_128_hexdigest(_as_text([*parts, stamps]))

    def find(self, key: str | None) -> Examined | None:
        """Return what was found under a key; None for nothing."""
        return None if key is None else self._known.get(key)

    def add(self, key: str, found: Examined) -> None:
        """Write down what was found.

        Raises:
            StorageError: there is no room for it.
        """
        assert self._file is not None, "use it as a context manager"
        content = {"key": key, "timeout_s": self._timeout_s, "found": found.as_dict()}
        seal = xxh3_64_hexdigest(_as_text(content))
        try:
            self._file.write(json.dumps(content | {"seal": seal}) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(
                f"{self.path}: cannot be written ({error.strerror}); make room, and give the same "
                "command again: it goes on where it stopped"
            ) from error

    def _read(self) -> bool:
        """Read all lines; return whether the last one was cut off."""
        if not self.path.exists():
            return False
        line = ""
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                self._take(line)
        return bool(line) and not line.endswith("\n")

    def _take(self, line: str) -> None:
        """Remember what a line says, if it is whole and still holds."""
        try:
            content: dict[str, Any] = json.loads(line)
            seal = content.pop("seal")
            if seal != xxh3_64_hexdigest(_as_text(content)):
                return
            found = Examined.from_dict(content["found"])
            is_short = content["timeout_s"] < self._timeout_s
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return
        if found.fault is not None and found.fault.code == "hanging" and is_short:
            return
        self._known[content["key"]] = found


def _code_state() -> str:
    """Return a hash of the modules that read and judge files."""
    package = Path(__file__).parents[2]
    folders = (package / "video", Path(__file__).parent)
    files = sorted(path for folder in folders for path in folder.glob("*.py"))
    return xxh3_128_hexdigest(b"".join(path.read_bytes() for path in files))


def _as_text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
