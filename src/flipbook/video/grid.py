"""How does a clip become a single picture of all its frames?

    uint8 (T, 3, s, s) -> uint8 (1, 3, S, S)

    0 1 2
    3 4 .       reading order, T = 5; a cell that no frame fills is black

There are `ceil(sqrt(T))` cells a side, each `S // side` px wide. What is left over at the right and
at the bottom, fewer px than cells, is black.

Source: IG-VLM, "An Image Grid Can Be Worth a Video" (Kim et al. 2024), section 3.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from flipbook.video.frames import PX_PER_TOKEN


def cells_a_side(num_frames: int) -> int:
    """Return how many cells a row has, and a column, so that all frames find a place."""
    return math.isqrt(num_frames - 1) + 1


def cell_px(num_frames: int, *, frame_size: int) -> int:
    """Return the side of a cell in px, 1 or more.

    Raises:
        ValueError: there are more cells in a row than px.
    """
    side = frame_size // cells_a_side(num_frames)
    if side < 1:
        raise ValueError(f"{num_frames} frames have no room in a grid of {frame_size} px")
    return side


def read_px(num_frames: int, *, frame_size: int) -> int:
    """Return the side at which frames are read: the cell's, or the next one that readers give."""
    return -(-cell_px(num_frames, frame_size=frame_size) // PX_PER_TOKEN) * PX_PER_TOKEN


def tile_frames(frames: Tensor, *, frame_size: int) -> Tensor:
    """Return frames, uint8 (T, 3, s, s), side by side in one: (1, 3, S, S) with S `frame_size`."""
    side, num_cells = cell_px(len(frames), frame_size=frame_size), cells_a_side(len(frames))
    if frames.shape[-1] != side:
        frames = torch.nn.functional.interpolate(
            frames, size=(side, side), mode="bicubic", antialias=True
        )
    grid = frames.new_zeros((1, 3, frame_size, frame_size))
    for number, frame in enumerate(frames):
        row, column = divmod(number, num_cells)
        top, left = row * side, column * side
        grid[0, :, top : top + side, left : left + side] = frame
    return grid
