"""What does the cell of a table say?

    "a.mp4", start "3", end "1:02.5"  ->  {"path": "a.mp4", "start_s": 3.0, "end_s": 62.5}
    "rain|snow"                       ->  ["rain", "snow"]
    "B" among them                    ->  place 1

CSV has texts alone; JSONL and Parquet may have numbers and lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flipbook.data.formats.asked import is_blank, seconds, word
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.prompts import MOST_OPTIONS, letter_of
from flipbook.data.json_text import BadRow, StrictDecoder
from flipbook.data.parts import shown
from flipbook.errors import RecordError
from flipbook.video.frames import is_image_file

_BETWEEN = "|"
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")

__all__ = ["media_of", "options", "place_of", "settings", "text", "texts", "time_s", "word"]


def text(value: object, name: str, record_id: str) -> str:
    """Return the text, or the number, of a cell.

    Raises:
        RecordError: it is blank, or something else.
    """
    return word(value, name, record_id)


def texts(value: object, name: str, record_id: str, *, may_lack: bool = False) -> list[str]:
    """Return the texts of a cell that holds one of them, or a list.

    Args:
        may_lack: whether a blank cell is an empty list.

    Raises:
        RecordError: it is blank, or holds something else.
    """
    if is_blank(value) and may_lack:
        return []
    several = _list_in(value) if may_lack else value
    if isinstance(several, list) and several:
        return [word(item, name, record_id) for item in several]
    return [word(value, name, record_id)]


def options(values: Sequence[object], record_id: str) -> list[str]:
    """Return the options of a cell that holds all, or of several cells that hold one each.

    Raises:
        RecordError: there are fewer than two, more than letters, or one twice.
    """
    listed = _list_in(values[0]) if len(values) == 1 else list(values)
    if not isinstance(listed, list):
        listed = [listed]
    found = [word(item, "options", record_id) for item in listed if not is_blank(item)]
    if not 2 <= len(found) <= MOST_OPTIONS:
        raise RecordError(
            record_id,
            f"has {len(found)} option(s) in {shown(listed)}; give 2 to {MOST_OPTIONS}, as a list "
            f"or with {_BETWEEN!r} between them",
        )
    if len(set(found)) < len(found):
        raise RecordError(record_id, f"an option stands twice in {shown(found)}; remove one")
    return found


def place_of(answer: str, options: Sequence[str], record_id: str) -> int:
    """Return which option is right, by its text or its letter.

    Raises:
        RecordError: it is neither.
    """
    if answer in options:
        return options.index(answer)
    letters = [letter_of(place) for place in range(len(options))]
    letter = answer.strip("(). ").upper()
    if letter in letters:
        return letters.index(letter)
    raise RecordError(
        record_id,
        f"the answer {shown(answer)} is none of the options {shown(list(options))} and none of "
        f"their letters {letters[0]} to {letters[-1]}; write the text of the right one",
    )


def time_s(value: object, name: str, record_id: str) -> float:
    """Return an instant in seconds, of a number or of hours, minutes and seconds.

    Raises:
        RecordError: it is neither.
    """
    clock = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if clock is None:
        return seconds(value, name, record_id)
    hours, minutes, rest = clock.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(rest)


def settings(value: object, record_id: str) -> object:
    """Return how a clip is read, which CSV has as JSON.

    Raises:
        RecordError: it is no JSON object.
    """
    found = StrictDecoder().decode(value) if isinstance(value, str) else value
    if isinstance(found, dict):
        return found
    raise RecordError(record_id, f"'clip' is {shown(value)}; write it as {{\"num_frames\": 16}}")


def media_of(
    cell: Mapping[str, Any], columns: Mapping[str, str], names: MediaNames, record_id: str
) -> dict[str, Any]:
    """Return the videos and images of a row under the keys of our own form.

    Raises:
        RecordError: there are none, or an instant is wrong, or of a picture.
    """
    stretch = {
        name: time_s(cell[name], columns[name], record_id)
        for name in ("start_s", "end_s")
        if not is_blank(cell.get(name))
    }
    found: dict[str, Any] = {}
    for kind in ("video", "image"):
        value = cell.get(kind)
        if is_blank(value) or value == []:
            continue
        values = value if isinstance(value, list) else [value]
        paths = [_path_of(item, names, record_id) for item in values]
        found[f"{kind}s"] = [_stretched(path, stretch, record_id) for path in paths]
    if not found:
        empty = " and ".join(repr(columns[kind]) for kind in ("video", "image") if kind in columns)
        raise RecordError(record_id, f"names no video: column {empty} is empty; remove the row")
    return found


def _path_of(value: object, names: MediaNames, record_id: str) -> object:
    """Return the path of a file that is named by a path, or by a name alone."""
    is_name = isinstance(value, (str, int)) and not isinstance(value, bool)
    if not is_name or "/" in str(value) or "\\" in str(value):
        return value  # whoever reads the row looks at it
    return names.find(value, record_id=record_id)


def _stretched(path: object, stretch: Mapping[str, float], record_id: str) -> object:
    """Return a file, or a list of pictures, with the stretch of it that is shown."""
    if not stretch:
        return path
    if isinstance(path, str) and is_image_file(path):
        raise RecordError(
            record_id, f"{path} is a picture and has no start or end; leave these cells empty"
        )
    return {"path": path, **stretch}


def _list_in(value: object) -> object:
    """Return the list that a text stands for, as JSON or with bars between its items."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        found = StrictDecoder().decode(value)
        if isinstance(found, list) and not isinstance(found, BadRow):
            return found
    return [item.strip() for item in value.split(_BETWEEN)]
