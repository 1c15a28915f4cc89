"""Which stretches of a conversation are tokenised as one, and which are answers?

    Turns -> Script: the template's skeleton, the contents between -> Pieces

Text reaches from one special token to the next. An answer begins a stretch of its own, since in
generation the prompt is tokenised before the answer exists. `stretches.py` gives them their ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from flipbook.data.placeholders import IMAGE_TOKEN, Frame, expand_frames, text_of
from flipbook.data.templates.template import (
    Skeleton,
    Template,
    TemplateMisfitError,
    render,
    skeleton_of,
    split_end,
)
from flipbook.data.turns import Role, Turn
from flipbook.errors import LabelError

Content = tuple[str | Frame, ...]


class Script(NamedTuple):
    """A conversation between a template's segments, as the template really renders it.

    `contents` has one entry per turn that is in it, and `skeleton` at least as many and one more.
    """

    skeleton: Skeleton
    roles: tuple[Role, ...]
    contents: tuple[Content, ...]


class Piece(NamedTuple):
    """A stretch of text, or one special token, or the place of a frame."""

    text: str
    is_token: bool
    is_answer: bool


def write_script(
    turns: Sequence[Turn],
    *,
    tokenizer: Any,
    template: Template,
    frames_per_media: Sequence[int],
    times_per_media: Sequence[Sequence[float]] | None = None,
    record_id: str,
) -> Script:
    """Return the script of a conversation; of one that ends with a question, up to the answer.

    Raises:
        LabelError: the template refuses the conversation or changes its words.
        ValueError: `frames_per_media` or `times_per_media` does not fit the media.
    """
    num_media = sum(len(turn.media) for turn in turns)
    if num_media != len(frames_per_media):
        raise ValueError(f"frames_per_media has {len(frames_per_media)} entries, media {num_media}")
    if times_per_media is None:
        times_per_media = [()] * num_media
    elif num_media != len(times_per_media):
        raise ValueError(f"times_per_media has {len(times_per_media)} entries, media {num_media}")
    frames, times = iter(frames_per_media), iter(times_per_media)
    contents = [tuple(expand_frames(turn.parts, frames, times)) for turn in turns]
    roles = tuple(turn.role for turn in turns)
    texts = [text_of(content) for content in contents]
    is_open = roles[-1] != "assistant"
    try:
        skeleton = skeleton_of(tokenizer, template, (*roles, "assistant") if is_open else roles)
        rendered = render(
            tokenizer, template, list(zip(roles, texts, strict=True)), with_prompt=is_open
        )
        contents = _as_rendered(contents, skeleton, rendered)
    except TemplateMisfitError as error:
        raise LabelError(
            record_id,
            f"the chat template does not suit this conversation: {error}. Change the conversation "
            "or use FastVLM's own template.",
        ) from error
    return Script(skeleton, roles, tuple(contents))


def text_of_script(script: Script) -> str:
    """Return the whole text, with one `<image>` per frame."""
    segments, leads = script.skeleton.segments, script.skeleton.leads
    text = segments[0]
    for number, content in enumerate(script.contents):
        text += leads[number] + text_of(content) + segments[number + 1]
    return text


def pieces_of(script: Script, pattern: re.Pattern[str]) -> list[Piece]:
    """Return a script in pieces, in order; neighbours that are both text differ in `is_answer`.

    Args:
        pattern: finds special tokens; it is held against the template's words only.
    """
    segments, leads = script.skeleton.segments, script.skeleton.leads
    pieces: list[Piece] = []
    rest = segments[0]
    for number, content in enumerate(script.contents):
        pieces += _cut(rest, pattern)
        is_answer = script.roles[number] == "assistant"
        for part in (leads[number], *content):
            if isinstance(part, str):
                pieces.append(Piece(part, is_token=False, is_answer=is_answer))
            else:
                pieces.append(Piece(IMAGE_TOKEN, is_token=True, is_answer=is_answer))
        rest = segments[number + 1]
        if is_answer:
            end, rest = split_end(rest, pattern)
            pieces += _cut(end, pattern, is_answer=True)
    pieces += _cut(rest, pattern)
    return _joined(pieces)


def _cut(text: str, pattern: re.Pattern[str], *, is_answer: bool = False) -> Iterator[Piece]:
    position = 0
    for match in pattern.finditer(text):
        yield Piece(text[position : match.start()], is_token=False, is_answer=is_answer)
        yield Piece(match[0], is_token=True, is_answer=is_answer)
        position = match.end()
    yield Piece(text[position:], is_token=False, is_answer=is_answer)


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if not piece.text:
            continue
        if joined and not piece.is_token and joined[-1][1:] == piece[1:]:
            joined[-1] = piece._replace(text=joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined


def _as_rendered(contents: Sequence[Content], skeleton: Skeleton, rendered: str) -> list[Content]:
    """Return contents as a template rendered them, which may have trimmed them."""
    position = 0
    found = []
    for number, content in enumerate(contents):
        before = skeleton.segments[number] + skeleton.leads[number]
        after = skeleton.segments[number + 1]
        for form in (content, _stripped(content)):
            if rendered.startswith(before + text_of(form) + after, position):
                break
        else:
            raise TemplateMisfitError(f"it changes the words of turn {number + 1}")
        found.append(form)
        position += len(before) + len(text_of(form))
    if rendered[position:] != skeleton.segments[len(contents)]:
        raise TemplateMisfitError("it adds words after the last turn")
    return found


def _stripped(content: Content) -> Content:
    """Return what `str.strip` leaves of the text that the parts make together."""
    parts = list(content)
    while parts and isinstance(parts[0], str):
        parts[0] = parts[0].lstrip()
        if parts[0]:
            break
        del parts[0]
    while parts and isinstance(parts[-1], str):
        parts[-1] = parts[-1].rstrip()
        if parts[-1]:
            break
        del parts[-1]
    return tuple(parts)
