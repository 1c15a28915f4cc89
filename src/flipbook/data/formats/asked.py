"""How does a row of a benchmark become one question about one clip?

    file, function (row, name) -> rows  ->  rows of our own, a RecordError for each that is none
    id, clip, question, reply, answer   ->  {"id": ..., "messages": [...], "kind": ..., ...}

What the readers of benchmarks share: taking texts and seconds out of rows that may hold anything,
finding the clip that they mean, and writing the row (see `own.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flipbook.data.extras import is_whole_text, split_named
from flipbook.data.formats.containers import read_object
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.origin import Origin
from flipbook.data.json_text import BadRow
from flipbook.data.media_folders import found_in
from flipbook.data.parts import shown
from flipbook.errors import ManifestError, RecordError

Row = dict[str, Any]
OwnRow = dict[str, Any]
Made = Iterable[OwnRow | RecordError]
Rows = Iterator[OwnRow | RecordError]
_LONGEST_ID = 200
_WORDS = re.compile(r"[^A-Za-z]+")


def read_each(origin: Origin, make: Callable[[Row, str], Made]) -> Rows:
    """Yield what a function makes of each row of a file, or why it makes nothing of it.

    Args:
        make: is given the row and its name, "file:number", for rows without an id; may raise a
            RecordError.

    Raises:
        ManifestError: the file cannot be read.
    """
    for number, row in origin.rows():
        name = f"{origin.path.name}:{number}"
        if isinstance(row, dict):
            yield from made_or_error(make, row, name)
        elif isinstance(row, BadRow):
            yield RecordError(name, row.reason)
        else:
            yield RecordError(name, f"is {type(row).__name__}; a row must be an object with keys")


def made_or_error(make: Callable[..., Made], *arguments: Any) -> Rows:
    """Yield what a function makes; the error that it may raise comes last."""
    try:
        yield from make(*arguments)
    except RecordError as error:
        yield error


def question_row(
    record_id: str,
    *,
    clip: Mapping[str, Any],
    question: str,
    reply: str,
    kind: str,
    answer: str | None = None,
    **extras: Any,
) -> OwnRow:
    """Return the row of one question about one clip.

    Args:
        clip: path, and what else a part says: {"path": "a.mp4", "start_s": 3.0}.
        reply: what the assistant says.
        answer: what is right, where that is not the reply: the option behind a letter.
        extras: task, options, references, spans, group, split; what is None or empty is left out.
    """
    content = [{"type": "video", **clip}, {"type": "text", "text": question}]
    given = {name: value for name, value in extras.items() if value not in (None, [], ())}
    return {
        "id": record_id,
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": reply},
        ],
        "kind": kind,
        "answer": reply if answer is None else answer,
        **given,
    }


def row_id(value: object, name: str) -> str:
    """Return an id as text; the row's name where there is none that fits on a line."""
    is_word = isinstance(value, (str, int)) and not isinstance(value, bool)
    text = str(value).strip() if is_word else ""
    return text if text and text.isprintable() and len(text) <= _LONGEST_ID else name


def is_blank(value: object) -> bool:
    """Return whether a value is missing: None, or text without letters."""
    return value is None or (isinstance(value, str) and not value.strip())


def text_in(row: Mapping[str, Any], key: str, record_id: str) -> str:
    """Return the text, or the number, under a key, without spaces around it.

    Raises:
        RecordError: there is none.
    """
    return word(row.get(key), key, record_id)


def word(value: object, key: str, record_id: str) -> str:
    """Return a value as text, without spaces around it.

    Raises:
        RecordError: it is blank, or neither text nor a number.
    """
    if is_blank(value):
        raise RecordError(record_id, f"has no {key!r}; add it or remove the row")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and is_whole_text(value)):
        raise RecordError(record_id, f"{key!r} is {shown(value)}; it must be text")
    return str(value).strip()


def texts_in(row: Mapping[str, Any], key: str, record_id: str) -> list[str]:
    """Return the texts under a key that holds a list of them, or a single one.

    Raises:
        RecordError: there is none, or one of them is blank or no text.
    """
    value = row.get(key)
    if not isinstance(value, list):
        return [text_in(row, key, record_id)]
    if not value:
        raise RecordError(record_id, f"{key!r} is an empty list; add to it or remove the row")
    return [word(item, key, record_id) for item in value]


def seconds(value: object, key: str, record_id: str) -> float:
    """Return a number of seconds, which CSV writes as text.

    Raises:
        RecordError: it is no number from 0 on.
    """
    try:
        number = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number < math.inf:
        raise RecordError(record_id, f"{key!r} is {shown(value)}; it must be seconds, from 0 on")
    return number


def stretch_in(row: Mapping[str, Any], keys: tuple[str, str], record_id: str) -> dict[str, float]:
    """Return which stretch of a clip a row shows, as a part says it; empty for all of it.

    Args:
        keys: which hold the start and the end, in seconds.

    Raises:
        RecordError: one of them is no number, or the end does not come after the start.
    """
    found = {
        own: seconds(row[key], key, record_id)
        for own, key in zip(("start_s", "end_s"), keys, strict=True)
        if not is_blank(row.get(key))
    }
    if found.get("end_s", math.inf) <= found.get("start_s", 0.0):
        raise RecordError(
            record_id,
            f"{keys[1]!r} is {found['end_s']:g} and {keys[0]!r} is {found.get('start_s', 0.0):g}: "
            "the end must come after the start; mend one of them",
        )
    return found


def split_in(row: Mapping[str, Any], path: Path) -> str | None:
    """Return the split that a row names; where it names none, that of its file's name.

    What names no known split is returned as it is, so that the record is refused for it.
    """
    named = row.get("split")
    if is_blank(named):
        return split_of_name(path)
    return split_named(str(named)) or str(named)


def split_of_name(path: Path) -> str | None:
    """Return the split that a file's name has as a word: STAR_val.json is validation.

    None where it has none, or several: train_val_videodatainfo.json.
    """
    found = {split_named(part) for part in _WORDS.split(path.stem) if part} - {None}
    return found.pop() if len(found) == 1 else None


def find_first(names: MediaNames, wanted: Sequence[object], *, record_id: str) -> str:
    """Return the path of the clip that has one of several names; the first that is there counts.

    Raises:
        RecordError: none is there, or a name belongs to several files.
    """
    present = [name for name in wanted if not is_blank(name)]
    known = next((name for name in present if names.has(name)), None)
    return names.find(known if known is not None else (present or [None])[0], record_id=record_id)


def object_beside(path: Path, names: Iterable[str]) -> Row:
    """Return the JSON object in the first file of these names that lies beside a file, or {}.

    Raises:
        ManifestError: it is there and cannot be read.
    """
    beside = next((path.parent / name for name in names if (path.parent / name).is_file()), None)
    return read_object(found_in(beside, path.parent)) if beside is not None else {}


def listed(rows: Iterator[tuple[int, Any]], path: Path, *, key: str) -> dict[str, Row]:
    """Return the rows of a second file by their ids.

    Raises:
        ManifestError: one is no object with an id.
    """
    found: dict[str, Row] = {}
    for number, row in rows:
        row_key = row.get(key) if isinstance(row, dict) else None
        if not isinstance(row_key, (str, int)) or isinstance(row_key, bool):
            raise ManifestError(f"{path}: row {number} is no object with {key!r}; mend it")
        found[str(row_key)] = row
    return found
