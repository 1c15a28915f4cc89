"""What does a decoded clip consist of?

    read_clip -> Clip -> everything that shows frames to a model

Frames and the instants at which they were on display travel together, so that nobody has to guess
later which picture came when.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Clip:
    """The frames of one video, in the order of display.

    path: the file they came from.
    frames: uint8 (T, 3, H, W), RGB, upright.
    times_s: float64 (T,), seconds since the clip's first displayed frame; never falling.
    frame_indices: T positions in the order of display, counted from 0; never falling.
    num_repeated: how many of the T frames show a picture that an earlier one already shows, because
        the clip has fewer frames than were asked for, or holds one picture on display for long.

    Raises ValueError when the parts disagree.
    """

    path: str
    frames: torch.Tensor  # (T, 3, H, W)
    times_s: torch.Tensor  # (T,)
    frame_indices: tuple[int, ...]
    num_repeated: int

    def __post_init__(self) -> None:
        shape = tuple(self.frames.shape)
        if len(shape) != 4 or shape[1] != 3 or self.frames.dtype != torch.uint8:
            raise ValueError(
                f"frames are {shape} {self.frames.dtype}; a clip holds (T, 3, H, W) torch.uint8"
            )
        times_shape = tuple(self.times_s.shape)
        if times_shape != shape[:1] or self.times_s.dtype != torch.float64:
            raise ValueError(
                f"times_s is {times_shape} {self.times_s.dtype}, frames are {shape}; "
                f"each frame has one time in torch.float64"
            )
        if len(self.frame_indices) != shape[0]:
            raise ValueError(
                f"{len(self.frame_indices)} frame indices for frames {shape}; each frame has one"
            )
        distinct = len(set(self.frame_indices))
        if self.num_repeated != shape[0] - distinct:
            raise ValueError(
                f"num_repeated is {self.num_repeated}, but {distinct} of {shape[0]} "
                f"frame indices are distinct"
            )
