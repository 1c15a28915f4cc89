"""What does a conversation say that comes in the form of transformers' chats?

    [{"role": "user", "content": [{"type": "video", "path": "a.mp4"}, {"type": "text", ...}]}, ...]
        ->  Turns, and what is shown in them, in order: paths, pictures, arrays

Words stay as they were typed. What a part shows may stand under the part's own type, `path` or
`url`, and a picture also under `base64`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flipbook.data.turns import Media, MediaKind, Turn, role_named
from flipbook.errors import ArgumentError, did_you_mean

PLACE = "chat"  # named by errors about a turn
_KEYS: dict[MediaKind, tuple[str, ...]] = {
    "image": ("image", "url", "path", "base64"),
    "video": ("video", "url", "path"),
}


class Shown(NamedTuple):
    """A picture or clip as somebody handed it over: a path, an open image, pixels."""

    kind: MediaKind
    value: Any
    is_base64: bool = False


def read_messages(messages: Sequence[Mapping[str, Any]]) -> tuple[tuple[Turn, ...], list[Shown]]:
    """Turns of a chat and all that they show, in order.

    Raises:
        RecordError: a role is unknown.
        ArgumentError: a part is of an unknown type, or names no file, or several.
    """
    turns = []
    shown: list[Shown] = []
    for message in messages:
        role = role_named(message.get("role"), record_id=PLACE)
        content = message.get("content")
        parts: list[str | Media] = []
        for part in content if isinstance(content, (list, tuple)) else [content or ""]:
            read = _part(part)
            if isinstance(read, Shown):
                shown.append(read)
                parts.append(Media(read.kind, read.value if isinstance(read.value, str) else ""))
            else:
                parts.append(read)
        turns.append(Turn(role, tuple(parts)))
    return tuple(turns), shown


def name_videos(
    chats: Sequence[Sequence[Mapping[str, Any]]], *, token: str
) -> list[list[dict[str, Any]]]:
    """Chats with `token` as text in place of each clip, for templates that know no clips."""
    text = {"type": "text", "text": token}
    named = []
    for chat in chats:
        messages = [dict(message) for message in chat]
        for message in messages:
            if isinstance(message.get("content"), list):
                parts = message["content"]
                message["content"] = [text if _is_video(part) else part for part in parts]
        named.append(messages)
    return named


def _is_video(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "video"


def _part(part: object) -> str | Shown:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else None
    if isinstance(part, Mapping) and kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if not isinstance(part, Mapping) or kind not in _KEYS:
        raise ArgumentError(
            f"a part of the chat is {_summary(part)}; its 'type' must be text (with its 'text'), "
            f"{' or '.join(_KEYS)}.{did_you_mean(str(kind), ['text', *_KEYS])}"
        )
    given = {key: part[key] for key in _KEYS[kind] if part.get(key) is not None}
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise ArgumentError(
            f"a part of type {kind} must hold one of {', '.join(_KEYS[kind])}, and has {found}. "
            f'Write {{"type": "{kind}", "path": FILE}}.'
        )
    key, value = given.popitem()
    return Shown(kind, value, is_base64=key == "base64")


def _summary(part: object) -> str:
    text = repr(part)
    return text if len(text) <= 80 else f"{text[:77]}..."
