"""What does a clip look like when one kind of evidence is taken away?

    frames (T, 3, S, S) uint8, record id  ->  frames of the same shape

    full            0 1 2 3     all there is
    shuffled        2 0 3 1     every picture, without their order
    reversed        3 2 1 0     every picture, in the opposite order
    single_frame    2 2 2 2     one picture
    blank           . . . .     the words of the question alone

A model that reads motion must lose on all but the first. Every control is a pure function: the
shuffle depends on the record id alone. To add one: a function and a line in CONTROLS.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Control = Callable[[Tensor, str], Tensor]


def full(frames: Tensor, record_id: str) -> Tensor:
    """Return the frames as they are."""
    return frames


def shuffled(frames: Tensor, record_id: str) -> Tensor:
    """Return the frames in an order drawn from `record_id`, never one that looks the same.

    Where the draw leaves the clip as it was, which short clips see often, each frame moves on by
    one place. Only a clip of equal frames cannot be changed and comes back as it is.
    """
    digest = hashlib.sha256(record_id.encode()).digest()
    order = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(len(frames))
    mixed = frames[torch.from_numpy(order)]
    return frames.roll(1, dims=0) if torch.equal(mixed, frames) else mixed


def reversed_(frames: Tensor, record_id: str) -> Tensor:
    """Return the frames from last to first."""
    return frames.flip(0)


def single_frame(frames: Tensor, record_id: str) -> Tensor:
    """Return the middle frame T times; of an even number, the later of the two middle ones."""
    return frames[len(frames) // 2 : len(frames) // 2 + 1].expand_as(frames)


def blank(frames: Tensor, record_id: str) -> Tensor:
    """Return black frames."""
    return torch.zeros_like(frames)


CONTROLS: dict[str, Control] = {
    "full": full,
    "shuffled": shuffled,
    "reversed": reversed_,
    "single_frame": single_frame,
    "blank": blank,
}


def apply_control(
    control: str, frames: Tensor, *, frames_per_media: tuple[int, ...], record_id: str
) -> Tensor:
    """Return `frames` with a control applied to each clip or picture on its own.

    Frames never move from one clip to another, so a record with several stays a fair question.

    Raises:
        ValueError: `frames_per_media` does not add up to T.
    """
    if sum(frames_per_media) != len(frames):
        raise ValueError(f"{frames_per_media} frames do not add up to {len(frames)}")
    if not frames_per_media:
        return frames
    clips = torch.split(frames, list(frames_per_media))
    return torch.cat([CONTROLS[control](clip, record_id) for clip in clips])  # (T, 3, S, S)
