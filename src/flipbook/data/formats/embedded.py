"""Where do the videos and pictures go that lie inside a data file?

    {"bytes": b"....ftyp...", "path": "a.mp4"}  ->  "FOLDER/3f2a....mp4"
    {"bytes": None, "path": "clips/a.mp4"}      ->  "clips/a.mp4"

A file is named by the hash of its content, so the same clip is written once, and ends as its first
bytes say. Nothing is decoded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_128_hexdigest

UNREAD = "(inside the file)"
_MEDIA_KEYS = {"bytes", "path"}
# What a file begins with, or has at a place near its beginning.
_SIGNATURES: list[tuple[int, bytes, str]] = [
    (4, b"ftypqt", ".mov"),
    (4, b"ftypavif", ".avif"),
    (4, b"ftyphei", ""),
    (4, b"ftypM4A", ""),
    (4, b"ftyp3g", ".3gp"),
    (4, b"ftyp", ".mp4"),
    (4, b"moov", ".mov"),
    (4, b"mdat", ".mov"),
    (0, b"\x1a\x45\xdf\xa3", ".mkv"),
    (8, b"AVI ", ".avi"),
    (8, b"WEBP", ".webp"),
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"GIF8", ".gif"),
    (0, b"BM", ".bmp"),
    (0, b"II*\0", ".tiff"),
    (0, b"MM\0*", ".tiff"),
    (0, b"FLV\x01", ".flv"),
    (0, b"\x00\x00\x01\xba", ".mpg"),
    (0, b"\x00\x00\x01\xb3", ".mpg"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ".wmv"),
    (28, b"\x80theora", ".ogv"),
]
_LENGTH_OF_TS_PACKET = 188


class NoMediaError(ValueError):
    """Bytes in a row are no video or picture."""


class EmbeddedFiles:
    """Writes the videos and pictures of rows to a folder.

    Args:
        folder: is made when it is needed; None writes nothing.

    Attributes:
        unread: what stands for a video or picture that is not written.
    """

    unread = UNREAD

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def without_bytes(self, value: Any, name: str) -> Any:
        """Return a value in which each video or picture is a path, and nothing in it is null.

        Args:
            name: of the column, for messages.

        Raises:
            NoMediaError: bytes in it are no video or picture.
        """
        if isinstance(value, bytes):
            return self._path_of(value, name)
        if isinstance(value, dict):
            if value and value.keys() <= _MEDIA_KEYS:
                data = value.get("bytes")
                return self._path_of(data, name) if data else value.get("path") or self._lost()
            items = value.items()
            return {key: self.without_bytes(item, name) for key, item in items if item is not None}
        if isinstance(value, list):
            return [self.without_bytes(item, name) for item in value]
        return value

    def _lost(self) -> str | None:
        return UNREAD if self._folder is None else None

    def _path_of(self, data: bytes, name: str) -> str | None:
        if self._folder is None:
            return UNREAD
        ending = ending_of(data)
        if ending is None:
            if "audio" in name.lower():
                return None  # nobody hears it
            raise NoMediaError(
                f"holds {len(data):,} bytes under {name!r} that are no video or picture of a known "
                "kind; convert them to mp4 or png"
            )
        path = self._folder / f"{xxh3_128_hexdigest(data)}{ending}"
        if not path.is_file() or path.stat().st_size != len(data):
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
            try:
                partial.write_bytes(data)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        return os.path.abspath(path)


def ending_of(data: bytes) -> str | None:
    """Return how the name of a file should end, by its first bytes; None for no known kind."""
    for place, mark, ending in _SIGNATURES:
        if data[place : place + len(mark)] == mark:
            return (".webm" if b"webm" in data[:64] else ending) or None
    marks = data[:1], data[_LENGTH_OF_TS_PACKET : _LENGTH_OF_TS_PACKET + 1]
    return ".ts" if marks == (b"G", b"G") else None


def without_bytes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch without what videos and pictures consist of; only their paths are left."""
    columns, names = [], []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = column.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            continue
        if pa.types.is_struct(kind) and {field.name for field in kind} == _MEDIA_KEYS:
            column = pc.make_struct(pc.struct_field(column, "path"), field_names=["path"])
        columns.append(column)
        names.append(name)
    return pa.RecordBatch.from_arrays(columns, names=names)
