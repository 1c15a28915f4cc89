"""Where do the frames of a video stand in a text?

    "<video>\\nWhat moves?"  ->  [Placeholder("video"), "What moves?"]
    [media, "What moves?"]   ->  [FRAME, "\\n", FRAME, "\\n", "What moves?"]

The one copy of both rules. LLaVA-style sources and encoded conversations come through here, so a
video of N frames is N times `<image>` and a line break in either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from flipbook.data.turns import MediaKind

IMAGE_TOKEN = "<image>"  # noqa: S105 - a word of the vocabulary
_PLACEHOLDER = re.compile(r"<(image|video)>\n?")


class Frame(Enum):
    """The place of one frame among the parts of a text."""

    FRAME = 0


FRAME = Frame.FRAME


@dataclass(frozen=True)
class Placeholder:
    """A `<image>` or `<video>` of a manifest that waits for its file."""

    kind: MediaKind


MediaT = TypeVar("MediaT")


def split_placeholders(text: str) -> list[str | Placeholder]:
    """Return a user's text as words and placeholders.

    One placeholder is put before the words wherever it stood, as LLaVA does. Several stay where
    they are, for the words between them may speak of their order. The line break after a
    placeholder belongs to it.

        "What moves?\\n<video>"           ->  [<video>, "What moves?"]
        "Is <image>\\nlike <image>\\n?"    ->  ["Is ", <image>, "like ", <image>, "?"]
    """
    found = list(_PLACEHOLDER.finditer(text))
    if not found:
        return [text]
    placeholders = [
        Placeholder("video") if match[1] == "video" else Placeholder("image") for match in found
    ]
    if len(found) == 1:
        words = (text[: found[0].start()] + text[found[0].end() :]).strip()
        return [placeholders[0], words] if words else [placeholders[0]]
    parts: list[str | Placeholder] = []
    position = 0
    for match, placeholder in zip(found, placeholders, strict=True):
        parts += [text[position : match.start()], placeholder]
        position = match.end()
    parts.append(text[position:])
    return [part for part in parts if part != ""]


def expand_frames(
    parts: Iterable[str | MediaT], frames_per_media: Iterator[int]
) -> list[str | Frame]:
    """Return parts with each media replaced by its frames, each followed by a line break.

    Args:
        parts: words, and anything else as media.
        frames_per_media: how many frames the next media has; one is taken for each.
    """
    expanded: list[str | Frame] = []
    for part in parts:
        if isinstance(part, str):
            expanded.append(part)
        else:
            expanded += [FRAME, "\n"] * next(frames_per_media)
    return expanded


def text_of(parts: Iterable[str | Frame]) -> str:
    """Return parts as text, with `<image>` for each frame."""
    return "".join(part if isinstance(part, str) else IMAGE_TOKEN for part in parts)
