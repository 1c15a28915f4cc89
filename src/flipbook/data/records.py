"""Which records does a manifest hold, and which of them can be trained on?

    JSON or JSONL file -> Records: Record, Record, ... and a RecordError for each row that is none

Nothing is dropped in silence: a row becomes a record or an error with its name. What a row may look
like, and how to add a form, stands in `readers`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from flipbook.data.extras import Extras, read_extras
from flipbook.data.json_text import BadRow
from flipbook.data.media_folders import MediaFolders
from flipbook.data.parts import shown
from flipbook.data.readers import READERS, keys_error, read_row, reader_of
from flipbook.data.record_ids import RecordIds
from flipbook.data.rows import read_rows
from flipbook.data.turns import Media, Turn, check_turns
from flipbook.errors import ManifestError, RecordError
from flipbook.video.view import WHOLE, View

__all__ = ["READERS", "Media", "Record", "Records", "Turn", "read_records"]


@dataclass(frozen=True)
class Record:
    """One or several independent conversations about the same media.

    Each is an optional system turn, then user and assistant in turns, and ends with an answer.
    `extras` holds what evaluation and division into splits need.

    Raises:
        RecordError: a conversation is not of this form, or there is none.
    """

    id: str
    conversations: tuple[tuple[Turn, ...], ...]
    extras: Extras = Extras()

    @property
    def task(self) -> str | None:
        """For which scores are given."""
        return self.extras.task

    def __post_init__(self) -> None:
        if not self.conversations:
            raise RecordError(self.id, "has no conversation; add one")
        for turns in self.conversations:
            check_turns(turns, record_id=self.id)

    @property
    def media(self) -> tuple[Media, ...]:
        """All videos and images, each once, in the order in which they first appear."""
        turns = (turn for conversation in self.conversations for turn in conversation)
        return tuple(dict.fromkeys(media for turn in turns for media in turn.media))


@dataclass(frozen=True)
class Records:
    """What a manifest holds. Its rows are the records and the rejected ones together."""

    records: tuple[Record, ...]
    rejected: tuple[RecordError, ...]


class NamedRow(NamedTuple):
    """A row with the name that no other row of its file has, or why it cannot be a record."""

    record_id: str
    content: dict[str, Any] | RecordError


def read_records(
    data_path: str | os.PathLike[str],
    *,
    image_folder: str | os.PathLike[str] | None = None,
    view: View = WHOLE,
    strict: bool = False,
) -> Records:
    """Return the records of a JSON or JSONL file, and the errors of rows that are none.

    A row without an id is called by its file's name and its number, from 1. The second row of an
    id gets `#2` at its end.

    Args:
        image_folder: where relative media paths begin; the manifest's folder if not given. Media
            must lie in one of the two.
        view: how clips are read where a record does not say so itself.
        strict: raise the first error of a row instead of returning it.

    Raises:
        ManifestError: the file is missing, is not JSON, or none of its rows has a known structure.
        ArgumentError: `image_folder` is no folder.
        RecordError: a row is no record, and `strict` is true.
    """
    path = Path(data_path)
    folders = MediaFolders(path, image_folder)
    records: list[Record] = []
    rejected: list[RecordError] = []
    for row in named_rows(path, survey(path)):
        try:
            records.append(record_of(row, folders=folders, view=view))
        except RecordError as error:
            if strict:
                raise
            rejected.append(error)
    return Records(tuple(records), tuple(rejected))


def count_records(data_path: str | os.PathLike[str]) -> int:
    """Return how many rows a JSON or JSONL file has, sound or not; no media are looked for.

    Raises:
        ManifestError: the file is missing or is not JSON.
    """
    return sum(1 for _ in read_rows(Path(data_path)))


def survey(path: Path) -> RecordIds:
    """Return the ids of a file, after reading all of it once.

    Raises:
        ManifestError: the file is missing, is not JSON, or none of its rows has a known structure.
    """
    return RecordIds(_ids_of(path))


def named_rows(path: Path, ids: RecordIds) -> Iterator[NamedRow]:
    """Yield the rows of a file, each with a name of its own.

    Args:
        ids: what `survey` found; good for one reading.

    Raises:
        ManifestError: the file has changed so much since that it cannot be read, or holds new ids.
    """
    for number, row in read_rows(path):
        name = f"{path.name}:{number}"
        try:
            row_id = _id_of(row, name)
        except RecordError as error:
            yield NamedRow(name, error)
            continue
        if row_id not in ids:
            raise ManifestError(f"{path}: has changed while it was read; start again")
        yield NamedRow(ids.name(row_id), row)


def record_of(row: NamedRow, *, folders: MediaFolders, view: View = WHOLE) -> Record:
    """Return the record that a row is.

    Raises:
        RecordError: it is none.
    """
    if isinstance(row.content, RecordError):
        raise row.content
    extras = read_extras(row.content, row.record_id)
    turns = read_row(row.content, folders=folders, record_id=row.record_id, view=view)
    return Record(row.record_id, turns, extras)


def _ids_of(path: Path) -> Iterator[str]:
    """Yield the ids of rows that have one, or may have; refuse what is no manifest in the end."""
    first: dict[str, Any] | None = None
    is_empty, is_known = True, False
    bad: BadRow | None = None
    for number, row in read_rows(path):
        is_empty = False
        bad = row if bad is None and isinstance(row, BadRow) else bad
        if isinstance(row, dict):
            first = row if first is None else first
            is_known = is_known or reader_of(row) is not None
        try:
            row_id = _id_of(row, f"{path.name}:{number}")
        except RecordError:
            continue  # it is told of when the row comes out
        yield row_id
    if is_empty:
        raise ManifestError(f"{path}: holds no records; is it the right file?")
    if first is None and bad is not None:
        raise ManifestError(f"{path}: holds no row that can be read; the first {bad.reason}")
    if first is None:
        raise ManifestError(f"{path}: holds no objects; each row must be one, with keys")
    if not is_known:
        raise ManifestError(f"{path}: the first row {keys_error(first)}")


def _id_of(row: Any, name: str) -> str:
    if isinstance(row, BadRow):
        raise RecordError(name, row.reason)
    if not isinstance(row, dict):
        raise RecordError(name, f"is {type(row).__name__}; a row must be an object with keys")
    return id_of(row, name)


def id_of(row: Mapping[str, Any], name: str) -> str:
    """Return the id of a row, or `name` where it has none.

    Raises:
        RecordError: it is neither text that can be printed nor a whole number.
    """
    row_id = row.get("id")
    if row_id is None or row_id == "":
        return name
    if isinstance(row_id, bool) or not isinstance(row_id, (str, int)):
        raise RecordError(name, f"'id' is {shown(row_id)}; it must be text or a whole number")
    if not str(row_id).isprintable():  # a line break, or half of a character
        raise RecordError(name, f"'id' is {shown(row_id)}; it must be text that can be printed")
    return str(row_id)
