"""How do the frames of a clip lie before the language model?

    frames (T, 3, s, s)  ->  what the vision tower sees: once or twice (T', 3, S', S')
    T, P, K              ->  how many tokens stand at each place of the prompt

    frames           1 2 3 4            a place for each frame, of its P tokens
    grid             [1 2 / 3 4]        one place: a picture of all frames, P tokens in all
    pooled           1 2 3 4            a place for each frame, of P / 4 tokens
    spatio_temporal  [1 2 3 4, mean]    one place: a token for each frame, then P of all together
    slow_fast        1 2 3 4 1 4        each frame at half the side, then K of them whole

What is pooled is what the tower has made of the frames, see `flipbook.model.pooling`. Still images
always have a place of their own with all their tokens. Every layout is a function of the frames in
their order, so whoever changes the order does so first. To add one: a line in `LAYOUTS`.

Sources: pooled, LLaVA-NeXT-Video (Zhang et al. 2024); spatio_temporal, Video-ChatGPT (Maaz et al.
2023), section 3.1; slow_fast, SlowFast networks (Feichtenhofer et al. 2018), and SlowFast-LLaVA (Xu
et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from flipbook.video.frames import PX_PER_TOKEN
from flipbook.video.grid import read_px, tile_frames

Pooling = Literal["none", "space", "space_and_time"]
POOLED_SIDE = 2  # tokens, along each side of a frame, that become one
DEFAULT_SLOW_FRAMES = 2

_Tokens = Callable[[int, int, int], tuple[int, ...]]
_Lay = Callable[[Tensor, int, int], tuple[Tensor, ...]]
_ReadPx = Callable[[int, int], int]


def _as_they_are(frames: Tensor, frame_size: int, slow_frames: int) -> tuple[Tensor, ...]:
    return (frames,)


def _tiled(frames: Tensor, frame_size: int, slow_frames: int) -> tuple[Tensor, ...]:
    return (tile_frames(frames, frame_size=frame_size),)


def _fast_and_slow(frames: Tensor, frame_size: int, slow_frames: int) -> tuple[Tensor, ...]:
    """Return all frames at half the side, and some of them whole."""
    half = (frame_size // 2, frame_size // 2)
    fast = torch.nn.functional.interpolate(frames, size=half, mode="bicubic", antialias=True)
    return fast, frames[slow_places(len(frames), slow_frames=slow_frames)]


def slow_places(num_frames: int, *, slow_frames: int) -> list[int]:
    """Return which frames are seen whole: evenly spread, first and last among them."""
    return [round(place) for place in np.linspace(0, num_frames - 1, slow_frames).tolist()]


def _read_whole(num_frames: int, frame_size: int) -> int:
    return frame_size


def _read_small(num_frames: int, frame_size: int) -> int:
    return read_px(num_frames, frame_size=frame_size)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What becomes of the frames of one clip.

    Attributes:
        tokens: of T frames of P tokens, and K slow ones, how many stand at each place.
        lay: gives of frames (T, 3, s, s), S and K what the tower sees, in order.
        pooling: what becomes of that afterwards.
        read_px: the side at which T frames are read, of S.
        num_parts: how many tensors `lay` gives.
        moves_pixels: `lay` makes other pictures, so that an order must be changed before it.
        side_multiple: of which `frame_size` must be a multiple, in px.
        has_frame_places: each frame has one place, in which words may stand before it.
        sees_frames_alone: a vision tower that learns, inside the model, gives what is read.
    """

    tokens: _Tokens
    lay: _Lay = _as_they_are
    pooling: Pooling = "none"
    read_px: _ReadPx = _read_whole
    num_parts: int = 1
    moves_pixels: bool = False
    side_multiple: int = PX_PER_TOKEN
    has_frame_places: bool = False
    sees_frames_alone: bool = False


FRAMES, GRID, SLOW_FAST = "frames", "grid", "slow_fast"
LAYOUTS: dict[str, Layout] = {
    FRAMES: Layout(
        tokens=lambda t, p, k: (p,) * t,
        has_frame_places=True,
        sees_frames_alone=True,
    ),
    GRID: Layout(
        tokens=lambda t, p, k: (p,),
        lay=_tiled,
        read_px=_read_small,
        moves_pixels=True,
        sees_frames_alone=True,
    ),
    "pooled": Layout(
        tokens=lambda t, p, k: (p // POOLED_SIDE**2,) * t,
        pooling="space",
        side_multiple=POOLED_SIDE * PX_PER_TOKEN,
        has_frame_places=True,
    ),
    "spatio_temporal": Layout(
        tokens=lambda t, p, k: (t + p,),
        pooling="space_and_time",
    ),
    SLOW_FAST: Layout(
        tokens=lambda t, p, k: (p // 4,) * t + (p,) * k,  # half the side: a quarter of the tokens
        lay=_fast_and_slow,
        num_parts=2,
        moves_pixels=True,
        side_multiple=2 * PX_PER_TOKEN,
    ),
}


def num_places(num_frames: int, pooling: Pooling) -> int:
    """Return in how many places what the tower made of so many pictures stands, once pooled."""
    return 1 if pooling == "space_and_time" else num_frames


def num_pooled(num_frames: int, num_tokens: int, pooling: Pooling) -> int:
    """Return how many tokens pooling leaves of pictures of `num_tokens` each, in all."""
    left = {
        "none": num_frames * num_tokens,
        "space": num_frames * (num_tokens // POOLED_SIDE**2),
        "space_and_time": num_frames + num_tokens,
    }
    return left[pooling]
