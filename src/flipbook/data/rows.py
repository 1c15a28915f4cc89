"""Which rows does a manifest hold?

    JSON list, one JSON object, or JSONL  ->  (1, row), (2, row), ...

A file is read a piece at a time, so that its size does not matter: JSONL line by line, a list item
by item through a window that holds the next item and little more.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from xxhash import xxh3_128

from flipbook.data.json_text import BadRow, StrictDecoder
from flipbook.data.readers import keys_error, reader_of
from flipbook.errors import ManifestError, did_you_mean

Row = tuple[int, Any]

_JSONL_EXTENSIONS = (".jsonl", ".ndjson")
_OTHER_ENDINGS = (".csv", ".tsv", ".parquet", ".txt")  # of tables, which are converted first
_ENCODING = "utf-8-sig"
_WINDOW_CHARACTERS = 1 << 18
_LONGEST_CUT = 32  # a number, an escape or a word like -Infinity that the window's end cuts
_BLOCK_BYTES = 1 << 20


def read_rows(path: Path) -> Iterator[Row]:
    """Yield numbers and rows: line numbers of JSONL, positions in a JSON list, from 1.

    A row that is no sound JSON is a `BadRow`: one line of JSONL that cannot be read, or a key that
    is there twice, spoils none of the others.

    Raises:
        ManifestError: the file is missing, is no regular file, is no text, or is no JSON list.
    """
    if path.suffix.lower() in _JSONL_EXTENSIONS:
        yield from _rows_of_lines(path)
        return
    with _open(path) as file:
        is_list_of_rows = yield from _rows_of_json(file, path)
    if not is_list_of_rows:
        yield from _rows_of_lines(path)


def content_hash(path: Path) -> str:
    """Return a hash of what is in a manifest.

    Raises:
        ManifestError: the file is missing or cannot be read.
    """
    with _open(path) as file:
        return hashlib.file_digest(file.buffer, xxh3_128).hexdigest()  # type: ignore[arg-type]


@contextmanager
def _open(path: Path, *, errors: str = "strict") -> Iterator[TextIO]:
    """Open a manifest; what goes wrong while it is read is told of by its name."""
    _check_kind(path)
    try:
        with path.open(encoding=_ENCODING, errors=errors) as file:
            yield file
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: is no text in UTF-8 ({error.reason} at byte {_first_bad_byte(path)}); a "
            "manifest is a JSON or JSONL file"
        ) from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _check_kind(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        siblings = [file.name for file in path.parent.glob("*.json*")]
        raise ManifestError(
            f"{path}: does not exist; check --data_path.{did_you_mean(path.name, siblings)}"
        ) from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if stat.S_ISDIR(mode) or path.suffix.lower() in _OTHER_ENDINGS:
        raise ManifestError(
            f"{path}: is no JSON or JSONL file; make records of it with `flipbook data convert "
            f"{path} --out records.jsonl`, or give it to `flipbook train`"
        )
    if not stat.S_ISREG(mode):
        raise ManifestError(
            f"{path}: is no regular file, and a manifest is read more than once; write it to a file"
        )


def _rows_of_lines(path: Path) -> Iterator[Row]:
    decoder = StrictDecoder()
    with _open(path, errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if line.isascii() or _is_unicode(line):
                yield number, decoder.decode(line)
            else:
                yield number, BadRow("is no text in UTF-8; write it again in that encoding")


def _is_unicode(line: str) -> bool:
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rows_of_json(file: TextIO, path: Path) -> Generator[Row, None, bool]:
    """Yield the rows of a list or of one object; return whether it was that, and not lines."""
    window = _Window(file, path)
    first = window.peek()
    if first == "[":
        yield from _items(window)
        return True
    content = window.take_value()
    if window.peek():
        if first != "{":
            raise window.error("Extra data", window.position)
        return False
    if isinstance(content, dict) and not reader_of(content):
        raise ManifestError(
            f"{path}: {keys_error(content)} A manifest is a list of rows, or one row per line."
        )
    if not isinstance(content, (dict, BadRow)):
        raise ManifestError(f"{path}: holds {type(content).__name__}; a manifest is a list of rows")
    yield 1, content
    return True


def _items(window: _Window) -> Iterator[Row]:
    window.position += 1  # the bracket
    number = 0
    mark = "]" if window.peek() == "]" else ","
    while mark == ",":
        number += 1
        yield number, window.take_value()
        mark = window.peek()
        if mark not in (",", "]"):
            raise window.error("Expecting ',' delimiter", window.position)
        if mark == ",":
            window.position += 1
    window.position += 1
    if window.peek():
        raise window.error("Extra data", window.position)


class _Window:
    """The part of a JSON file around `position`; what lies before it is forgotten when it grows."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self.position = 0
        self._file = file
        self._path = path
        self._text = ""
        self._is_last = False
        self._line = 1  # of the window's first character
        self._column = 1
        self._decoder = StrictDecoder()

    def peek(self) -> str:
        """Return the next character that is no space, and stand there; empty at the end."""
        while True:
            while self.position < len(self._text):
                if self._text[self.position] not in " \t\n\r":
                    return self._text[self.position]
                self.position += 1
            if self._is_last:
                return ""
            self._grow()

    def take_value(self) -> Any:
        """Return the value that begins at the next character.

        Raises:
            ManifestError: it is not JSON, or is nested too deeply.
        """
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self.position)
            except json.JSONDecodeError as error:
                if self._is_last or not self._may_be_cut(error):
                    raise self.error(error.msg, error.pos) from error
            except RecursionError as error:
                raise ManifestError(
                    f"{self._path}: nested too deeply; a manifest is a list of rows"
                ) from error
            else:
                # What is left of a number is a number too.
                is_whole = not isinstance(value, (int, float)) or self._is_last
                if is_whole or len(self._text) - end > _LONGEST_CUT:
                    self.position = end
                    return value
            self._grow()

    def error(self, reason: str, position: int) -> ManifestError:
        """Return the error of a place in the window, by line and column of the file."""
        line, column = self._place(position)
        return ManifestError(
            f"{self._path}, line {line}, column {column}: not JSON ({reason}); mend it or write "
            "the file again"
        )

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated string") or (
            error.pos > len(self._text) - _LONGEST_CUT
        )

    def _grow(self) -> None:
        """Forget what was read and read on; a value that does not fit doubles the window."""
        self._line, self._column = self._place(self.position)
        rest = self._text[self.position :]
        new = self._file.read(max(_WINDOW_CHARACTERS, len(rest)))
        self._is_last = not new
        self._text = rest + new
        self.position = 0

    def _place(self, position: int) -> tuple[int, int]:
        num_breaks = self._text.count("\n", 0, position)
        if not num_breaks:
            return self._line, self._column + position
        return self._line + num_breaks, position - self._text.rindex("\n", 0, position)


def _first_bad_byte(path: Path) -> int:
    """Return the place of the first byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    num_bytes = 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(_BLOCK_BYTES)
            num_waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return num_bytes - num_waiting + error.start
            if not chunk:
                return num_bytes  # it was mended while it was read
            num_bytes += len(chunk)
