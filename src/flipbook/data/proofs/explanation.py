"""What does the model read of a conversation, token by token, and what does it learn of it?

    turns, ConversationEncoder  ->  Explanation: tokens, frames, budget, proofs

The conversation is encoded, and its videos and images are read, as in training; but one that is
longer than the model may read is explained too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

from flipbook.data.budget import tokens_of_places
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.labels.tokens import IGNORE_INDEX
from flipbook.data.media import media_of, visuals_of
from flipbook.data.proofs.prove import Proof, count_features, prove
from flipbook.data.proofs.token_roles import (
    TokenRole,
    bytes_of_tokens,
    roles_of_tokens,
    tokens_per_frame_of,
)
from flipbook.data.sample import Visual, places_per_media
from flipbook.data.shown import layout_of, read_shown
from flipbook.data.turns import Turn


@dataclass(frozen=True)
class Token:
    """A token at its place in a conversation.

    Attributes:
        position: from 0.
        id: in the vocabulary.
        word: what it spells; may be half of a character.
        role: who says it.
        is_learned: whether the loss counts it.
        is_visual: whether it is the place of a part of a frame.
        frame: the number of that frame, from 0; None for text, and where frames have run out.
    """

    position: int
    id: int
    word: bytes
    role: TokenRole
    is_learned: bool
    is_visual: bool
    frame: int | None


@dataclass(frozen=True)
class Frame:
    """A frame that is shown.

    Attributes:
        path: of its file, or of its folder.
        medium: the number of its video or image in the conversation, from 1.
        time_s: when it is on display in its clip; None for a still image, and where a layout
            shows several instants in one place.
        num_tokens: for which the model sees it.
    """

    path: str
    medium: int
    time_s: float | None
    num_tokens: int


@dataclass(frozen=True)
class Budget:
    """What the tokens of a conversation are spent on, and the most that the model may read.

    `tokens_per_frame` are the numbers that there are, from the smallest.
    """

    num_frames: int
    tokens_per_frame: tuple[int, ...]
    num_visual: int
    num_text: int
    num_answer: int
    limit: int | None

    @property
    def total(self) -> int:
        """How many tokens the conversation has."""
        return self.num_visual + self.num_text + self.num_answer


@dataclass(frozen=True)
class Explanation:
    """One conversation of a record; `frames_per_media` is of every picture and clip, in order."""

    tokens: tuple[Token, ...]
    frames: tuple[Frame, ...]
    frames_per_media: tuple[int, ...]
    budget: Budget
    proofs: tuple[Proof, ...]


def explain(
    turns: tuple[Turn, ...], encoder: ConversationEncoder, *, record_id: str
) -> Explanation:
    """Return a conversation token by token, with its frames really read.

    Args:
        turns: of one conversation, as its record has them.
        encoder: its `max_length` is the limit of the budget, and refuses nothing.
        record_id: names the record in errors.

    Raises:
        MediaError: a video or image cannot be read.
        RecordError: the conversation cannot be encoded.
    """
    unlimited = replace(encoder, max_length=None)
    frames, visuals = _read(turns, encoder)
    frames_per_media = places_per_media(visuals)
    encoded = unlimited.encode(turns, frames_per_media=frames_per_media, record_id=record_id)
    ids = encoded.input_ids.tolist()
    roles = roles_of_tokens(
        ids, turns, encoder, frames_per_media=frames_per_media, record_id=record_id
    )
    words = bytes_of_tokens(ids, encoder.tokenizer)
    is_visual = [token_id == encoder.image_token_id for token_id in ids]
    is_learned = (encoded.labels != IGNORE_INDEX).tolist()
    numbers = _frame_numbers(is_visual, frames)
    return Explanation(
        tokens=tuple(
            map(Token, range(len(ids)), ids, words, roles, is_learned, is_visual, numbers)
        ),
        frames=tuple(frames),
        frames_per_media=frames_per_media,
        budget=Budget(
            num_frames=len(frames),
            tokens_per_frame=tuple(sorted({frame.num_tokens for frame in frames})),
            num_visual=sum(is_visual),
            num_text=len(ids) - sum(is_visual) - sum(is_learned),
            num_answer=sum(is_learned),
            limit=encoder.max_length,
        ),
        proofs=prove(
            turns,
            encoder,
            frames_per_media=frames_per_media,
            record_id=record_id,
            encoded=encoded,
            num_features=count_features(visuals),
        ),
    )


def _read(
    turns: tuple[Turn, ...], encoder: ConversationEncoder
) -> tuple[list[Frame], list[Visual]]:
    """Return what a conversation shows, frame by frame and item by item."""
    frames: list[Frame] = []
    visuals: list[Visual] = []
    media = media_of(turns)
    for medium, (item, tokens) in enumerate(
        zip(media, tokens_per_frame_of(turns, encoder), strict=True), start=1
    ):
        clip = read_shown(item, encoder.settings)
        seen = visuals_of(item, clip.frames, encoder.settings)
        visuals += seen
        (num_places,) = places_per_media(seen)
        times_s: list[float | None] = [None] * num_places
        if item.kind == "video" and layout_of(item, encoder.settings).has_frame_places:
            times_s = clip.times_s.tolist()
        per_place = tokens_of_places(num_places, tokens)
        frames += map(Frame, repeat(item.path), repeat(medium), times_s, per_place)
    return frames, visuals


def _frame_numbers(is_visual: Sequence[bool], frames: Sequence[Frame]) -> list[int | None]:
    """Return for each token which frame it stands for, None for text and where frames run out."""
    numbers = chain.from_iterable(
        repeat(number, frame.num_tokens) for number, frame in enumerate(frames)
    )
    return [next(numbers, None) if visual else None for visual in is_visual]
