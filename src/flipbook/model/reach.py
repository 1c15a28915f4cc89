"""Which tokens of a row see which others?

    segments of each sample -> Reach -> bool mask (L, L), or the block mask of FlexAttention

A row holds samples one after the other. A sample is one conversation, or the beginning that several
share and their branches. A token sees what lies before it in its own conversation:

    segments (3, 2, 2), (2,)      shared   a a  b b  other
                      shared      x . .
                                  x x .
                                  x x x
                      branch a    x x x    x .
                                  x x x    x x
                      branch b    x x x         x .
                                  x x x         x x
                      other                          x .
                                                     x x
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask

BLOCK_TOKENS = 128  # FlexAttention skips squares of this side in which nothing is seen


@dataclass(frozen=True)
class Reach:
    """What each token of a row sees: from `own_start` to itself, and `[shared_start, shared_end)`.

    Attributes:
        own_start: int32 (L,), where its branch begins, or its sample if it stands in no branch.
        shared_start, shared_end: int32 (L,), the beginning that its branch continues; empty for a
            token that stands in no branch.
    """

    own_start: Tensor
    shared_start: Tensor
    shared_end: Tensor

    def __len__(self) -> int:
        return len(self.own_start)


def row_reach(segments: Iterable[Sequence[int]], *, device: torch.device | str = "cpu") -> Reach:
    """Return what each token of a row sees.

    Args:
        segments: of each sample in the row, in order; see `flipbook.data.sample.Sample`.
    """
    spans: list[tuple[int, int, int, int]] = []  # length, own start, shared start, shared end
    start = 0
    for first, *branches in segments:
        spans.append((first, start, start, start))
        place = start + first
        for branch in branches:
            spans.append((branch, place, start, start + first))
            place += branch
        start = place
    lengths, *bounds = torch.tensor(spans, dtype=torch.int32).T
    return Reach(*(bound.repeat_interleave(lengths).to(device) for bound in bounds))


def row_mask(reach: Reach) -> Tensor:
    """Return bool (L, L): which token (row) sees which other one (column)."""
    places = torch.arange(len(reach), device=reach.own_start.device)
    bounds = (reach.own_start[:, None], reach.shared_start[:, None], reach.shared_end[:, None])
    return _sees(places[:, None], places[None, :], *bounds)


def block_mask(reach: Reach, *, block_tokens: int = BLOCK_TOKENS) -> BlockMask:
    """Return the mask of a row as FlexAttention takes it, without ever making it (L, L).

    What a token sees are two intervals, so how many keys of a block it sees is a subtraction.
    """
    num_blocks = -(-len(reach) // block_tokens)
    device = reach.own_start.device
    query = torch.arange(len(reach), device=device)[:, None]
    first = torch.arange(num_blocks, device=device)[None] * block_tokens
    end = first + block_tokens  # keys of block: first, ..., end - 1

    def num_within(low: Tensor, high: Tensor) -> Tensor:
        return (torch.minimum(high, end) - torch.maximum(low, first)).clamp(min=0)

    seen = num_within(reach.own_start[:, None], query + 1)
    seen += num_within(reach.shared_start[:, None], reach.shared_end[:, None])  # (L, key blocks)
    seen = nn.functional.pad(seen, (0, 0, 0, num_blocks * block_tokens - len(reach)))
    counts = seen.view(num_blocks, block_tokens, num_blocks).sum(1)  # (query blocks, key blocks)
    is_full = counts == block_tokens**2
    own_start, shared_start, shared_end = reach.own_start, reach.shared_start, reach.shared_end

    def mask_mod(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        del batch, head
        return _sees(query, key, own_start[query], shared_start[query], shared_end[query])

    return BlockMask.from_kv_blocks(
        *_chosen((counts > 0) & ~is_full),
        *_chosen(is_full),
        BLOCK_SIZE=block_tokens,
        mask_mod=mask_mod,
        seq_lengths=(len(reach), len(reach)),
    )


def _sees(
    query: Tensor, key: Tensor, own_start: Tensor, shared_start: Tensor, shared_end: Tensor
) -> Tensor:
    """Return whether tokens at places `query`, of which the bounds are, see those at `key`."""
    return ((key >= own_start) & (key <= query)) | ((key >= shared_start) & (key < shared_end))


def _chosen(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return of each row of bool (R, C) how many are true, and the columns, true ones first."""
    columns = torch.argsort(blocks.int(), dim=-1, descending=True, stable=True)
    return blocks.sum(-1).int()[None, None], columns.int()[None, None]  # (1, 1, R), (1, 1, R, C)
