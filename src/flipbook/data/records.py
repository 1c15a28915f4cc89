"""Which records does a manifest hold, and which of them can be trained on?

    JSON or JSONL file -> Records: Record, Record, ... and a RecordError for each row that is none

Nothing is dropped in silence: a row becomes a record or an error with its name. What a row may look
like, and how to add a form, stands in `readers`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipbook.data.media_folders import MediaFolders
from flipbook.data.readers import READERS, keys_error, read_row, reader_of
from flipbook.data.turns import Media, Turn, check_turns
from flipbook.errors import ManifestError, RecordError, did_you_mean

__all__ = ["READERS", "Media", "Record", "Records", "Turn", "read_records"]

_JSONL_EXTENSIONS = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Record:
    """One or several independent conversations about the same media.

    Each is an optional system turn, then user and assistant in turns, and ends with an answer.

    Raises:
        RecordError: a conversation is not of this form, or there is none.
    """

    id: str
    conversations: tuple[tuple[Turn, ...], ...]
    task: str | None = None

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


def read_records(
    data_path: str | os.PathLike[str],
    *,
    image_folder: str | os.PathLike[str] | None = None,
    strict: bool = False,
) -> Records:
    """Return the records of a JSON or JSONL file, and the errors of rows that are none.

    A row without an id is called by its file's name and its number, from 1. The second row of an
    id gets `#2` at its end.

    Args:
        image_folder: where relative media paths begin; the manifest's folder if not given. Media
            must lie in one of the two.
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
    rows = list(_rows(path))
    _refuse_unknown_structure(rows, path)
    num_of_id: dict[str, int] = {}
    for number, row in rows:
        try:
            record_id = _unused(_id_of(row, f"{path.name}:{number}"), num_of_id)
            records.append(_record_of(row, folders=folders, record_id=record_id))
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
    return sum(1 for _ in _rows(Path(data_path)))


def _record_of(row: dict[str, Any], *, folders: MediaFolders, record_id: str) -> Record:
    task = row.get("task")
    if task is not None and not isinstance(task, str):
        raise RecordError(record_id, f"'task' is {task!r}; it must be text")
    return Record(record_id, read_row(row, folders=folders, record_id=record_id), task)


def _id_of(row: Any, name: str) -> str:
    if not isinstance(row, dict):
        raise RecordError(name, f"is {type(row).__name__}; a row must be an object with keys")
    row_id = row.get("id")
    if row_id is None or row_id == "":
        return name
    if isinstance(row_id, bool) or not isinstance(row_id, str | int):
        raise RecordError(name, f"'id' is {row_id!r}; it must be text or a whole number")
    return str(row_id)


def _unused(record_id: str, num_of_id: dict[str, int]) -> str:
    """Return an id that no earlier row has, and note it."""
    unused = record_id
    while unused in num_of_id:
        num_of_id[record_id] += 1
        unused = f"{record_id}#{num_of_id[record_id]}"
    num_of_id[unused] = 1
    return unused


def _refuse_unknown_structure(rows: list[tuple[int, Any]], path: Path) -> None:
    if not rows:
        raise ManifestError(f"{path}: holds no records; is it the right file?")
    objects = [row for _, row in rows if isinstance(row, dict)]
    if not objects:
        raise ManifestError(f"{path}: holds no objects; each row must be one, with keys")
    if not any(reader_of(row) for row in objects):
        raise ManifestError(f"{path}: the first row {keys_error(objects[0])}")


def _rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield numbers and rows: line numbers of JSONL, positions in a JSON list, from 1."""
    text = _text_of(path)
    if path.suffix.lower() in _JSONL_EXTENSIONS:
        yield from _rows_of_lines(text, path)
        return
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            yield from _rows_of_lines(text, path)
            return
        raise ManifestError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}); mend it "
            "or write the file again"
        ) from error
    except RecursionError as error:
        raise ManifestError(f"{path}: nested too deeply; a manifest is a list of rows") from error
    if isinstance(content, dict) and reader_of(content):
        content = [content]
    if isinstance(content, dict):
        raise ManifestError(
            f"{path}: {keys_error(content)} A manifest is a list of rows, or one row per line."
        )
    if not isinstance(content, list):
        raise ManifestError(f"{path}: holds {type(content).__name__}; a manifest is a list of rows")
    yield from enumerate(content, start=1)


def _rows_of_lines(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ManifestError(
                f"{path}, line {number}: not JSON ({error}); mend the line or remove it"
            ) from error


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        siblings = [file.name for file in path.parent.glob("*.json*")]
        raise ManifestError(
            f"{path}: does not exist; check --data_path.{did_you_mean(path.name, siblings)}"
        ) from error
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: is no text in UTF-8 ({error.reason} at byte {error.start}); a manifest is a "
            "JSON or JSONL file"
        ) from error
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); check the path") from error
