"""Where do the frames of a video stand in a text?

    "<video>\\nWhat moves?"  ->  [Placeholder("video"), "What moves?"]
    [media, "What moves?"]   ->  [FRAME, "\\n", FRAME, "\\n", "What moves?"]
    with instants            ->  ["0.0s: ", FRAME, "\\n", "1.5s: ", FRAME, "\\n", "What moves?"]

The one copy of both rules. LLaVA-style sources and encoded conversations come through here, so a
video of N frames is N times `<image>` and a line break in either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import repeat
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
    parts: Iterable[str | MediaT],
    frames_per_media: Iterator[int],
    times_per_media: Iterator[Sequence[float]] | None = None,
) -> list[str | Frame]:
    """Return parts with each media replaced by its frames, each followed by a line break.

    Args:
        parts: words, and anything else as media.
        frames_per_media: how many frames the next media has; one is taken for each.
        times_per_media: at how many seconds each of them is, to be said before it; empty for media
            of which no instants are said.

    Raises:
        ValueError: a media has not as many instants as frames.
    """
    times = repeat(()) if times_per_media is None else times_per_media
    expanded: list[str | Frame] = []
    for part in parts:
        if isinstance(part, str):
            expanded.append(part)
            continue
        num_frames, times_s = next(frames_per_media), next(times)
        if times_s and len(times_s) != num_frames:
            raise ValueError(f"{len(times_s)} instants are said of {num_frames} frames")
        for number in range(num_frames):
            said = [said_time(times_s[number])] if times_s else []
            expanded += [*said, FRAME, "\n"]
    return expanded


def said_time(time_s: float) -> str:
    """Return the words before a frame: `1.5s: `."""
    return f"{time_s:.1f}s: "


def text_of(parts: Iterable[str | Frame]) -> str:
    """Return parts as text, with `<image>` for each frame."""
    return "".join(part if isinstance(part, str) else IMAGE_TOKEN for part in parts)
