"""What does a row of a manifest say?

    row: a dict as JSON gives it -> conversations of Turns

    LLaVA     {"video": "a.mp4", "conversations": [{"from": "human", "value": "<video>\\nWhy?"}, ..
    messages  {"messages": [{"role": "user", "content": [{"type": "video", "path": "a.mp4"}, ...

A reader is chosen by its key. To add one, write a function and a line in READERS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flipbook.data.media_folders import MediaFolders
from flipbook.data.placeholders import Placeholder, split_placeholders
from flipbook.data.turns import Media, MediaKind, Role, Turn, role_named
from flipbook.errors import RecordError, did_you_mean
from flipbook.video.decode import is_video_file
from flipbook.video.frames import is_image_file

Row = Mapping[str, Any]
Conversations = tuple[tuple[Turn, ...], ...]


class RawTurn(NamedTuple):
    """A turn whose placeholders still wait for their files."""

    role: Role
    parts: list[str | Placeholder | Media]


class Reader(NamedTuple):
    """`key` holds the conversations of rows that `read_turn` understands."""

    key: str
    read_turn: Callable[[Row, MediaFolders, str], RawTurn]


MEDIA_KEYS: dict[MediaKind, tuple[str, str]] = {
    "image": ("image", "images"),
    "video": ("video", "videos"),
}
_PART_TYPES = ("text", "image", "video")
_OTHER_KEYS = ("id", "task")


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
    return RawTurn(role, [_typed_part(part, folders, record_id) for part in content])


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


def read_row(row: Row, *, folders: MediaFolders, record_id: str) -> Conversations:
    """Return the conversations of a row, each with all media of the row in their places.

    A row that names media but has no placeholder shows them before the first question.

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
        kind: _media_column(row, keys, folders, record_id) for kind, keys in MEDIA_KEYS.items()
    }
    conversations = []
    for raw_conversation in _conversations_in(row[reader.key], reader.key, record_id):
        turns = [reader.read_turn(turn, folders, record_id) for turn in raw_conversation]
        conversations.append(_place_media(turns, columns, record_id))
    if not any(turn.media for turns in conversations for turn in turns):
        _refuse_stray_media(row, reader, record_id)
    return tuple(conversations)


def _conversations_in(value: object, key: str, record_id: str) -> list[list[Row]]:
    """Return the conversations under a key that holds one, or a list of several."""
    if isinstance(value, list) and value:
        several = value if all(isinstance(item, list) for item in value) else [value]
        if all(isinstance(turn, dict) for turns in several for turn in turns):
            return several
    raise RecordError(
        record_id,
        f"{key!r} must be a list of turns, or a list of such lists; it is {_shown(value)}",
    )


def _value_of(turn: Row, key: str, record_id: str) -> Any:
    if key in turn:
        return turn[key]
    raise RecordError(
        record_id, f"a turn has the keys {', '.join(turn) or '(none)'} and misses {key!r}; add it"
    )


def _parts_of_text(
    text: object, role: Role, key: str, record_id: str
) -> list[str | Placeholder | Media]:
    if not isinstance(text, str):
        raise RecordError(record_id, f"{key!r} must be text; it is {_shown(text)}")
    return [*split_placeholders(text)] if role == "user" else [text]


def _typed_part(part: object, folders: MediaFolders, record_id: str) -> str | Placeholder | Media:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or kind not in _PART_TYPES:
        raise RecordError(
            record_id,
            f"a part is {_shown(part)}; its 'type' must be one of {', '.join(_PART_TYPES)}."
            f"{did_you_mean(str(kind), _PART_TYPES)}",
        )
    if kind == "text":
        text = _value_of(part, "text", record_id)
        if not isinstance(text, str):
            raise RecordError(record_id, f"'text' must be text; it is {_shown(text)}")
        return text
    path = next((part[key] for key in (kind, "path", "url") if part.get(key) is not None), None)
    if path is None:
        return Placeholder("video" if kind == "video" else "image")
    return folders.find(path, record_id=record_id)


def _media_column(
    row: Row, keys: Iterable[str], folders: MediaFolders, record_id: str
) -> list[Media]:
    filled = [key for key in keys if row.get(key) not in (None, [])]
    if len(filled) > 1:
        raise RecordError(record_id, f"has both {' and '.join(map(repr, filled))}; keep one")
    paths = row[filled[0]] if filled else []
    paths = paths if isinstance(paths, list) else [paths]
    return [folders.find(path, record_id=record_id) for path in paths]


def _place_media(
    turns: Sequence[RawTurn], columns: Mapping[MediaKind, list[Media]], record_id: str
) -> tuple[Turn, ...]:
    """Return turns with the media of the columns in place of the placeholders, in order."""
    parts = [part for turn in turns for part in turn.parts]
    if not any(isinstance(part, Placeholder) for part in parts):
        waiting = [media for column in columns.values() for media in column]
        return _media_first(turns, [media for media in waiting if media not in parts], record_id)
    queues = _queues(parts, columns, record_id)
    return tuple(
        Turn(
            turn.role,
            tuple(
                next(queues[part.kind]) if isinstance(part, Placeholder) else part
                for part in turn.parts
            ),
        )
        for turn in turns
    )


def _media_first(
    turns: Sequence[RawTurn], waiting: list[Media], record_id: str
) -> tuple[Turn, ...]:
    """Return turns without placeholders, with the media that still wait before a question."""
    placed = [Turn(turn.role, tuple(_without_placeholders(turn.parts))) for turn in turns]
    if waiting and any(turn.media for turn in placed):
        raise RecordError(
            record_id,
            f"{waiting[0].path} stands in no turn, though other media do; give it a place too",
        )
    first = next((number for number, turn in enumerate(placed) if turn.role == "user"), None)
    if waiting and first is not None:
        placed[first] = Turn("user", (*waiting, *placed[first].parts))
    return tuple(placed)


def _without_placeholders(parts: Iterable[str | Placeholder | Media]) -> Iterable[str | Media]:
    return (part for part in parts if not isinstance(part, Placeholder))


def _queues(
    parts: Sequence[str | Placeholder | Media],
    columns: Mapping[MediaKind, list[Media]],
    record_id: str,
) -> dict[MediaKind, Iterator[Media]]:
    """Return where the file of the next placeholder of each kind comes from.

    With one column filled, both kinds of placeholder take from it, since either key may hold a
    video. With two, each kind takes from its own.
    """
    wanted = Counter(part.kind for part in parts if isinstance(part, Placeholder))
    given = {kind: len(column) for kind, column in columns.items()}
    both_filled = all(given.values())
    fits = wanted == Counter(given) if both_filled else wanted.total() == sum(given.values())
    if not fits:
        raise RecordError(
            record_id,
            f"has placeholders for {_counted(wanted)} and names {_counted(given)}; give each its "
            "own, or write words that are no placeholder as a part of type text in 'messages'",
        )
    if both_filled:
        return {kind: iter(column) for kind, column in columns.items()}
    shared = iter([media for column in columns.values() for media in column])
    return dict.fromkeys(columns, shared)


def _counted(counts: Mapping[MediaKind, int]) -> str:
    return " and ".join(f"{counts.get(kind, 0)} {kind}(s)" for kind in MEDIA_KEYS)


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
                f"shows nothing, but {key!r} holds {_shown(value)} and is not read; media stand "
                f"under image, images, video or videos.{did_you_mean(key, read)}",
            )


def _is_media_name(path: str) -> bool:
    return is_video_file(path) or is_image_file(path)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
