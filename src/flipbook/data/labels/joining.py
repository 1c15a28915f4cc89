"""How do several conversations about one clip become one sequence?

    encoded conversations -> input_ids (L,), labels (L,), segments

What they have in common, up to and with the last frame, stands once. It holds nothing that is
learned, so each conversation loses and gains what it would alone.

    A:  system <image> <image> | question a, answer a
    B:  system <image> <image> | question b, answer b
    ->  system <image> <image> | question a, answer a | question b, answer b
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from flipbook.data.labels.conversation import IGNORE_INDEX, EncodedConversation


class Joined(NamedTuple):
    """`input_ids` and `labels` int64 (L,); `segments` as in a Sample."""

    input_ids: Tensor
    labels: Tensor
    segments: tuple[int, ...]


def shared_head(encoded: EncodedConversation, *, image_token_id: int) -> int:
    """Return how many tokens other conversations about the same media may share; 0 for none.

    That is up to and with the last frame, where all of them stand before anything that is learned.
    """
    places = (encoded.input_ids == image_token_id).nonzero()
    if len(places) == 0:
        return 0
    head = int(places[-1]) + 1
    # The first token after the head must not be learned either: its predecessor is shared.
    if head == len(encoded.labels) or (encoded.labels[: head + 1] != IGNORE_INDEX).any():
        return 0
    return head


def join(conversations: Sequence[EncodedConversation], *, image_token_id: int) -> Joined:
    """Return conversations about the same media as one sequence.

    Raises:
        ValueError: there is none, or several that do not begin alike.
    """
    if not conversations:
        raise ValueError("there is no conversation to join")
    first = conversations[0]
    if len(conversations) == 1:
        return Joined(first.input_ids, first.labels, (len(first.input_ids),))
    heads = {shared_head(one, image_token_id=image_token_id) for one in conversations}
    head = heads.pop()
    prefix = first.input_ids[:head]
    if (
        heads
        or head == 0
        or any(not torch.equal(c.input_ids[:head], prefix) for c in conversations)
    ):
        raise ValueError("the conversations do not begin with the same words and frames")
    branches = [one.input_ids[head:] for one in conversations]
    return Joined(
        torch.cat([prefix, *branches]),
        torch.cat([first.labels[:head], *(one.labels[head:] for one in conversations)]),
        (head, *(len(branch) for branch in branches)),
    )


def joined_length(num_tokens: Sequence[int], *, head_tokens: int) -> int:
    """Return how long conversations of these lengths are when they share their head.

    lengths 10 and 12 with 8 in common  ->  14
    """
    return sum(num_tokens) - head_tokens * (len(num_tokens) - 1)


def positions(segments: Sequence[int]) -> Tensor:
    """Return the positions of a sample's tokens, int64 (L,): branches go on where the prefix ends.

    segments (3, 2, 2)  ->  0 1 2 3 4 3 4
    """
    prefix, *branches = segments
    return torch.cat(
        [torch.arange(prefix), *(torch.arange(prefix, prefix + branch) for branch in branches)]
    )
