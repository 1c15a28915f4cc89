"""How are rows written so that a file of them is whole or not there?

rows       ->  OUT under another name, then OUT         RowWriter
rejected   ->  a file with id and reason for each        Rejections
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

from flipbook.data.extras import is_whole_text
from flipbook.data.manifests import NUM_REASONS_SHOWN
from flipbook.data.record_ids import text_hash
from flipbook.errors import RecordError, StorageError, one_line

# What some programs take for the end of a line; JSON itself escapes only \n and \r.
_LINE_ENDS = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}


class RowWriter:
    """Writes JSONL under another name; `keep` gives the file its own.

    Args:
        path: of the file in the end. One that is there stays as it is until then.

    Raises:
        StorageError: its folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_rows = 0
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._partial.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written ({error}); name another file."
            ) from error
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def write(self, row: dict[str, Any]) -> None:
        """Write a row.

        Raises:
            RecordError: a text in it is none that can be written.
        """
        line = json.dumps(row, ensure_ascii=False)
        if not is_whole_text(line):
            raise RecordError(
                str(row.get("id")), "names a file that is no text in UTF-8; rename the file"
            )
        self._file.write(f"{line.translate(_LINE_ENDS)}\n")
        self.num_rows += 1

    def keep(self) -> None:
        """Let the file be there under its own name, with all that was written so far."""
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._partial, self.path)


class Rejections(Sequence[RecordError]):
    """The rows that are no records: how many, the first few, and all of them in a file.

    Args:
        writer: of the file.
    """

    def __init__(self, writer: RowWriter) -> None:
        self._writer = writer
        self._first: list[RecordError] = []
        self._number = 0

    def add(self, error: RecordError) -> None:
        """Take note of one, as text that every terminal shows on one line."""
        self._number += 1
        shown = RecordError(one_line(error.record_id), error.message)
        if len(self._first) < NUM_REASONS_SHOWN:
            self._first.append(shown)
        self._writer.write({"id": shown.record_id, "reason": shown.message})

    def __len__(self) -> int:
        return self._number

    @overload
    def __getitem__(self, place: int) -> RecordError: ...
    @overload
    def __getitem__(self, place: slice) -> list[RecordError]: ...
    def __getitem__(self, place: int | slice) -> RecordError | list[RecordError]:
        """Return one of the first few, or some of them; the others are in the file alone."""
        return self._first[place]


class TakenNames:
    """Gives each row a name that no earlier one has; of each, only a hash is kept."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._next: dict[int, int] = {}

    def name(self, row_id: str) -> str:
        """Return an id, with `#2` and so on at its end where it is taken."""
        found = row_id
        if not self._take(found):
            key = text_hash(row_id)
            number = self._next.get(key, 2)
            while not self._take(f"{row_id}#{number}"):
                number += 1
            self._next[key] = number + 1
            found = f"{row_id}#{number}"
        return found

    def _take(self, name: str) -> bool:
        key = text_hash(name)
        is_free = key not in self._taken
        self._taken.add(key)
        return is_free
