"""How do turns lie on disk, in a table of conversations?

Turns  ->  JSON in bytes  ->  the same turns
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flipbook.data.turns import Media, Turn
from flipbook.video.view import WHOLE, View


def turns_as_json(turns: Sequence[Turn]) -> bytes:
    """Return turns as JSON: text is text, and a video or image a list of its kind and path.

    A clip that is a list of pictures has these third, one that is seen in a way of its own that way
    fourth.

    [["user", [["video", "/clips/a.mp4"], "What moves?"]], ["assistant", ["A ball."]]]
    """
    content = [
        [turn.role, [p if isinstance(p, str) else media_as_list(p) for p in turn.parts]]
        for turn in turns
    ]
    # A path may hold bytes that are no UTF-8, which Python has as halves of characters.
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")


def turns_from_json(content: bytes) -> tuple[Turn, ...]:
    """Return the turns that `turns_as_json` wrote down."""
    return tuple(
        Turn(role, tuple(part if isinstance(part, str) else media_of_list(part) for part in parts))
        for role, parts in json.loads(content)
    )


def media_as_list(media: Media) -> list[Any]:
    """Return a video or image as JSON; as short as it can be, for there may be millions."""
    if media.view == WHOLE:
        return [media.kind, media.path, media.frames] if media.frames else [media.kind, media.path]
    return [media.kind, media.path, media.frames, media.view.as_dict()]


def media_of_list(values: list[Any]) -> Media:
    """Return the video or image that `media_as_list` wrote down."""
    kind, path, *rest = values
    frames = tuple(rest[0]) if rest else ()
    return Media(kind, path, frames, View.from_dict(rest[1]) if len(rest) > 1 else WHOLE)
