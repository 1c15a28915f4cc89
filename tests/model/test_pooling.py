"""Do few tokens hold the means of many, each of the right ones?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch.nn.functional import avg_pool2d

from flipbook.model.pooling import POOLINGS, over_space, over_space_and_time, pool_visuals


def test_space_is_average_pooling_of_the_map() -> None:
    features = torch.randn(3, 16, 5)
    maps = features.permute(0, 2, 1).reshape(3, 5, 4, 4)
    expected = avg_pool2d(maps, 2).flatten(2).permute(0, 2, 1)
    assert torch.allclose(over_space(features), expected, atol=1e-6)


def test_space_and_time_gives_each_frame_then_each_place() -> None:
    features = torch.randn(3, 16, 5)
    (pooled,) = over_space_and_time(features)
    assert pooled.shape == (19, 5)
    for number in range(3):
        assert torch.allclose(pooled[number], features[number].mean(0), atol=1e-6)
    for place in range(16):
        assert torch.allclose(pooled[3 + place], features[:, place].mean(0), atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_means_of_narrow_numbers_are_taken_in_wide_ones(pooling: Any) -> None:
    features = torch.randn(4, 16, 8).bfloat16()
    pooled = POOLINGS[pooling](features)
    assert pooled.dtype == torch.bfloat16
    assert torch.equal(pooled, POOLINGS[pooling](features.float()).bfloat16())


@pytest.mark.parametrize("num_tokens", [9, 12])
def test_a_frame_that_cannot_be_halved_is_refused(num_tokens: int) -> None:
    with pytest.raises(ValueError, match=f"{num_tokens} tokens are no square of an even side"):
        over_space(torch.zeros(1, num_tokens, 2))


def test_each_visual_is_pooled_as_it_asks() -> None:
    @dataclass
    class Slot:
        pooling: Any

    features = [torch.randn(2, 4, 3) for _ in range(3)]
    kept, small, flat = pool_visuals(
        [Slot("none"), Slot("space"), Slot("space_and_time")], features
    )
    assert kept is features[0]
    assert small.shape == (2, 1, 3)
    assert flat.shape == (1, 6, 3)
