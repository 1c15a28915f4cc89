"""What a token sees, against the same said token by token, and torch's own block masks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask

from flipbook.model.reach import block_mask, row_mask, row_reach

ROWS = [
    [(5,)],
    [(3, 2, 2), (2,)],
    [(7, 1, 4, 2), (1,), (6,), (2, 3, 1)],
    [(40, 9, 13, 30), (25,), (8, 8, 8)],
    [(128,), (64, 64, 32), (100, 29)],
]


def _told_one_by_one(row: Sequence[Sequence[int]]) -> Tensor:
    """Write down for each token which conversation it is of, and compare."""
    tokens = [
        (sample, part, place)
        for sample, lengths in enumerate(row)
        for part, length in enumerate(lengths)
        for place in range(length)
    ]
    return torch.tensor(
        [
            [
                one[0] == other[0]
                and (other[1] == one[1] or other[1] == 0)
                and (other[1] < one[1] or other[2] <= one[2])
                for other in tokens
            ]
            for one in tokens
        ]
    )


@pytest.mark.parametrize("row", ROWS)
def test_a_token_sees_its_own_past_and_what_its_branch_continues(row: list[tuple[int]]) -> None:
    assert torch.equal(row_mask(row_reach(row)), _told_one_by_one(row))


def test_the_drawing_of_the_module_is_true() -> None:
    drawn = ["x", "xx", "xxx", "xxxx", "xxxxx", "xxx  x", "xxx  xx", "       x", "       xx"]
    mask = row_mask(row_reach([(3, 2, 2), (2,)]))
    assert ["".join(" x"[int(sees)] for sees in row).rstrip() for row in mask] == drawn


@pytest.mark.parametrize("block_tokens", [1, 4, 16, 128])
@pytest.mark.parametrize("row", ROWS)
def test_blocks_are_those_that_torch_finds(row: list[tuple[int]], block_tokens: int) -> None:
    reach = row_reach(row)
    ours = block_mask(reach, block_tokens=block_tokens)
    num_tokens = len(reach)
    theirs = create_block_mask(
        ours.mask_mod, 1, None, num_tokens, num_tokens, device="cpu", BLOCK_SIZE=block_tokens
    )
    assert ours.shape == theirs.shape == (1, 1, num_tokens, num_tokens)
    assert torch.equal(ours.to_dense(), theirs.to_dense())
    for name in ("kv_num_blocks", "full_kv_num_blocks", "q_num_blocks", "full_q_num_blocks"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
    assert torch.equal(
        _columns(ours.kv_indices, ours.kv_num_blocks),
        _columns(theirs.kv_indices, theirs.kv_num_blocks),
    )


def _columns(indices: Tensor, counts: Tensor) -> Tensor:
    """Return the columns that count, and -1 for the others."""
    is_counted = torch.arange(indices.shape[-1]) < counts[..., None]
    return torch.where(is_counted, indices, -1)


@pytest.mark.parametrize("row", ROWS)
def test_the_rule_that_a_gpu_computes_is_the_mask(row: list[tuple[int]]) -> None:
    reach = row_reach(row)
    places = torch.arange(len(reach))
    rule = block_mask(reach).mask_mod
    zero = torch.zeros((), dtype=torch.int64)
    assert torch.equal(rule(zero, zero, places[:, None], places[None, :]), row_mask(reach))


def test_empty_blocks_are_skipped() -> None:
    blocks = block_mask(row_reach([(128,), (128, 128, 128), (128,)]))
    assert blocks.to_dense().int()[0, 0].tolist() == [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 1, 0, 1, 0],
        [0, 0, 0, 0, 1],
    ]
    assert blocks.full_kv_num_blocks.tolist() == [[[0, 0, 1, 1, 0]]]
