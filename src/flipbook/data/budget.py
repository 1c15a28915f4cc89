"""Does a conversation fit into what the model may read, and if not, what would make it fit?

counts of tokens, limit -> nothing, or a BudgetError with the sum and a way out
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from flipbook.errors import BudgetError

STRIDE_PX = 64  # of FastVLM's tower: a frame of side S gives (S / 64) ** 2 tokens

# Of every frame of a clip or picture; or of each of its places, where a layout makes others.
TokensPerFrame = int | tuple[int, ...]


def tokens_of_places(num_places: int, tokens: TokensPerFrame) -> tuple[int, ...]:
    """Return how many tokens stand at each place of a clip or picture.

    Raises:
        ValueError: the layout gives another number of places.
    """
    if isinstance(tokens, int):
        return (tokens,) * num_places
    if len(tokens) != num_places:
        raise ValueError(f"a clip has {num_places} places, and tokens are told of {len(tokens)}")
    return tokens


def check_budget(
    *,
    num_tokens: int,
    num_answer_tokens: int,
    frames_per_media: Sequence[int],
    tokens_per_frame: Sequence[TokensPerFrame],
    max_length: int | None,
    record_id: str,
) -> None:
    """Check that a conversation is short enough.

    Raises:
        BudgetError: it is longer than `max_length`.
    """
    if max_length is None or num_tokens <= max_length:
        return
    num_frames = sum(frames_per_media)
    per_place = [
        tokens
        for count, each in zip(frames_per_media, tokens_per_frame, strict=True)
        for tokens in tokens_of_places(count, each)
    ]
    num_visual = sum(per_place)
    num_text_tokens = num_tokens - num_visual - num_answer_tokens
    advice = [f"raise the limit to {num_tokens} (--model_max_length)"]
    room = max_length - (num_tokens - num_visual)  # for visual tokens alone
    plain = [tokens for tokens in tokens_per_frame if isinstance(tokens, int)]
    if len(plain) == len(tokens_per_frame):  # of a layout, tokens do not tell frames and sides
        advice = [*_smaller(room, frames_per_media, plain), *advice]
    kinds = [tokens for tokens, _ in groupby(sorted(per_place))]
    each_has = " or ".join(map(str, kinds)) or "0"
    raise BudgetError(
        record_id,
        f"{num_frames} frames x {each_has} + {num_text_tokens} of text + "
        f"{num_answer_tokens} of answers = {num_tokens} tokens, and the limit is {max_length}. "
        f"Nothing is ever cut: {', or '.join(advice)}.",
    )


def _smaller(
    room: int, frames_per_media: Sequence[int], tokens_per_frame: Sequence[int]
) -> list[str]:
    """Return the flags with which frames would fit: fewer of them, or smaller ones."""
    advice = []
    # Fewer frames also save their line breaks, which this leaves as a margin.
    most = _num_frames_that_fit(room, frames_per_media, tokens_per_frame)
    if most is not None:
        advice.append(f"--num_video_frames {most}")
    size = _frame_size_that_fits(room, sum(frames_per_media), min(tokens_per_frame, default=0))
    if size is not None:
        advice.append(f"--frame_size {size}")
    return advice


def _num_frames_that_fit(
    room: int, frames_per_media: Sequence[int], tokens_per_frame: Sequence[int]
) -> int | None:
    """Return the largest smaller number of frames per clip that fits, if there is one."""
    for num_frames in range(max(frames_per_media, default=1) - 1, 0, -1):
        needed = sum(
            min(count, num_frames) * tokens
            for count, tokens in zip(frames_per_media, tokens_per_frame, strict=True)
        )
        if needed <= room:
            return num_frames
    return None


def _frame_size_that_fits(room: int, num_frames: int, tokens_per_frame: int) -> int | None:
    """Return the largest smaller side in px that fits, if there is one."""
    if num_frames == 0 or room < num_frames:
        return None
    size = math.isqrt(room // num_frames) * STRIDE_PX
    return size if 0 < size < math.isqrt(tokens_per_frame) * STRIDE_PX else None
