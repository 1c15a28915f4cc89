"""How do fewer tokens stand for what the vision tower has seen?

    tower features (T, P, C), pooling  ->  what the projector gets

    none             (T, P, C)
    space            (T, P / 4, C)      means of 2 x 2 neighbours in each frame
    space_and_time   (1, T + P, C)      the mean of each frame, then of each place over all frames

It happens between tower and projector, on features at rest: they come as they are from the store,
which all poolings share. Means are taken in float32. To add one: a function, and a line in
`POOLINGS`.

Source: Video-ChatGPT (Maaz et al. 2023), section 3.1, for `space_and_time`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from flipbook.video.layouts import POOLED_SIDE, Pooling


class Pooled(Protocol):
    """What is read of a visual of a batch, or of a sample."""

    @property
    def pooling(self) -> Pooling: ...


def over_space(features: Tensor) -> Tensor:
    """Return means of 2 x 2 neighbours in each frame: (T, P, C) -> (T, P / 4, C).

    Raises:
        ValueError: the P tokens are no square of an even side.
    """
    num_tokens = features.shape[1]
    side = math.isqrt(num_tokens)
    if side * side != num_tokens or side % POOLED_SIDE:
        raise ValueError(
            f"{num_tokens} tokens are no square of an even side, to be pooled by 2 x 2"
        )
    half = side // POOLED_SIDE
    cells = features.float().view(len(features), half, POOLED_SIDE, half, POOLED_SIDE, -1)
    return cells.mean(dim=(2, 4)).flatten(1, 2).to(features.dtype)  # (T, P / 4, C)


def over_space_and_time(features: Tensor) -> Tensor:
    """Return the mean of each frame, then of each place: (T, P, C) -> (1, T + P, C)."""
    exact = features.float()
    return torch.cat([exact.mean(1), exact.mean(0)])[None].to(features.dtype)  # (1, T + P, C)


def _unchanged(features: Tensor) -> Tensor:
    return features


POOLINGS: dict[Pooling, Callable[[Tensor], Tensor]] = {
    "none": _unchanged,
    "space": over_space,
    "space_and_time": over_space_and_time,
}


def pool_visuals(visuals: Sequence[Pooled], features: Sequence[Tensor]) -> list[Tensor]:
    """Return the features of each visual, (T, P, C), pooled as its layout asks.

    Args:
        visuals: of a batch, see `flipbook.data.batch.VisualSlot`, or of a sample.
        features: of each of them, what the tower made of it or the store had.
    """
    return [POOLINGS[one.pooling](seen) for one, seen in zip(visuals, features, strict=True)]
