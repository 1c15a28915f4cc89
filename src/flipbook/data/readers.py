"""What does a row of a manifest say?

    row: a dict as JSON gives it -> conversations of Turns

    LLaVA     {"video": "a.mp4", "conversations": [{"from": "human", "value": "<video>\\nWhy?"}, ..
    messages  {"messages": [{"role": "user", "content": [{"type": "video", "path": "a.mp4"}, ...

These two can be trained on as they are, row by row; every other format becomes the second
(`formats/`). A reader is chosen by its key. To add one, write a function and a line in READERS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from flipbook.data.extras import CLIP_KEY, Extras, read_clip_view
from flipbook.data.media_folders import MediaFolders
from flipbook.data.parts import Part, read_media_value, read_part, shown
from flipbook.data.placeholders import Placeholder, split_placeholders
from flipbook.data.placing import RawTurn, place_media
from flipbook.data.turns import Media, MediaKind, Role, Turn, role_named
from flipbook.errors import RecordError, did_you_mean
from flipbook.video.decode import is_video_file
from flipbook.video.frames import is_image_file
from flipbook.video.view import WHOLE, View

Row = Mapping[str, Any]
Conversations = tuple[tuple[Turn, ...], ...]


class Reader(NamedTuple):
    """`key` holds the conversations of rows that `read_turn` understands."""

    key: str
    read_turn: Callable[[Row, MediaFolders, str], RawTurn]


MEDIA_KEYS: dict[MediaKind, tuple[str, str]] = {
    "image": ("image", "images"),
    "video": ("video", "videos"),
}
_OTHER_KEYS = ("id", CLIP_KEY, *Extras.__dataclass_fields__)


def read_llava_turn(turn: Row, _folders: MediaFolders, record_id: str) -> RawTurn:
    """Return a turn of the form `{"from": "human", "value": "..."}`."""
    role = role_named(_value_of(turn, "from", record_id), record_id=record_id)
    text = _value_of(turn, "value", record_id)
    return RawTurn(role, _parts_of_text(text, role, "value", record_id))


def read_message(turn: Row, folders: MediaFolders, record_id: str) -> RawTurn:
    """Return a turn of the form `{"role": "user", "content": ...}`; content is text or parts."""
    role = role_named(_value_of(turn, "role", record_id), record_id=record_id)
    content = _value_of(turn, "content", record_id)
    if not isinstance(content, list):
        return RawTurn(role, _parts_of_text(content, role, "content", record_id))
    return RawTurn(role, [read_part(part, folders, record_id) for part in content])


READERS: dict[str, Reader] = {
    "llava": Reader("conversations", read_llava_turn),
    "messages": Reader("messages", read_message),
}


def reader_of(row: Row) -> Reader | None:
    """Return the reader whose key a row has, or nothing."""
    return next((reader for reader in READERS.values() if row.get(reader.key) is not None), None)


def keys_error(row: Row) -> str:
    """Return what is wrong with a row that no reader understands."""
    keys = [reader.key for reader in READERS.values()]
    guess = next(filter(None, (did_you_mean(key, keys) for key in row)), "")
    return f"has the keys {', '.join(row) or '(none)'}; expected is {' or '.join(keys)}.{guess}"


def read_row(
    row: Row, *, folders: MediaFolders, record_id: str, view: View = WHOLE
) -> Conversations:
    """Return the conversations of a row, each with all media of the row in their places.

    A row that names media but has no placeholder shows them before the first question.

    Args:
        view: how the data set's clips are read where the row does not say so itself.

    Raises:
        RecordError: the row has no known structure; a part of it is of a wrong type; a file is
            missing or may not be read; placeholders and media do not match.
    """
    reader = reader_of(row)
    if reader is None:
        raise RecordError(record_id, keys_error(row))
    filled = [other.key for other in READERS.values() if row.get(other.key) is not None]
    if len(filled) > 1:
        raise RecordError(record_id, f"holds both {' and '.join(map(repr, filled))}; keep one")
    columns = {
        kind: _media_column(row, kind, keys, folders, record_id)
        for kind, keys in MEDIA_KEYS.items()
    }
    farther = read_clip_view(row, record_id).filled_from(view)
    conversations = []
    for raw_conversation in _conversations_in(row[reader.key], reader.key, record_id):
        turns = [reader.read_turn(turn, folders, record_id) for turn in raw_conversation]
        placed = place_media(turns, columns, record_id)
        conversations.append(placed if farther == WHOLE else _seen_as(placed, farther))
    if not any(turn.media for turns in conversations for turn in turns):
        _refuse_stray_media(row, reader, record_id)
    return tuple(conversations)


def _seen_as(turns: tuple[Turn, ...], farther: View) -> tuple[Turn, ...]:
    """Return turns whose media take from a view what their own leaves open."""
    return tuple(
        Turn(
            turn.role,
            tuple(
                part
                if isinstance(part, str)
                else replace(part, view=part.view.filled_from(farther))
                for part in turn.parts
            ),
        )
        for turn in turns
    )


def _conversations_in(value: object, key: str, record_id: str) -> list[list[Row]]:
    """Return the conversations under a key that holds one, or a list of several."""
    if isinstance(value, list) and value:
        several = value if all(isinstance(item, list) for item in value) else [value]
        if all(isinstance(turn, dict) for turns in several for turn in turns):
            return several
    raise RecordError(
        record_id,
        f"{key!r} must be a list of turns, or a list of such lists; it is {shown(value)}",
    )


def _value_of(turn: Row, key: str, record_id: str) -> Any:
    if key in turn:
        return turn[key]
    raise RecordError(
        record_id, f"a turn has the keys {', '.join(turn) or '(none)'} and misses {key!r}; add it"
    )


def _parts_of_text(text: object, role: Role, key: str, record_id: str) -> list[Part]:
    if not isinstance(text, str):
        raise RecordError(record_id, f"{key!r} must be text; it is {shown(text)}")
    return [*split_placeholders(text)] if role == "user" else [text]


def _media_column(
    row: Row, kind: MediaKind, keys: Iterable[str], folders: MediaFolders, record_id: str
) -> list[Media]:
    """Return the media of a column: paths, objects with a path, or lists of pictures."""
    filled = [key for key in keys if row.get(key) not in (None, [])]
    if len(filled) > 1:
        raise RecordError(record_id, f"has both {' and '.join(map(repr, filled))}; keep one")
    values = row[filled[0]] if filled else []
    values = values if isinstance(values, list) else [values]
    found = [read_media_value(value, kind, folders, record_id) for value in values]
    media = [item for item in found if not isinstance(item, Placeholder)]
    if len(media) < len(found):
        raise RecordError(record_id, f"an object under {filled[0]!r} names no file; give its path")
    return media


def _refuse_stray_media(row: Row, reader: Reader, record_id: str) -> None:
    """Refuse a row without media whose media stand under a key that nobody reads."""
    read = {reader.key, *_OTHER_KEYS, *(key for keys in MEDIA_KEYS.values() for key in keys)}
    for key, value in row.items():
        paths = value if isinstance(value, list) else [value]
        if key in read or not paths:
            continue
        if all(isinstance(path, str) and _is_media_name(path) for path in paths):
            raise RecordError(
                record_id,
                f"shows nothing, but {key!r} holds {shown(value)} and is not read; media stand "
                f"under image, images, video or videos.{did_you_mean(key, read)}",
            )


def _is_media_name(path: str) -> bool:
    return is_video_file(path) or is_image_file(path)
