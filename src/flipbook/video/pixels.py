"""How does a decoded frame become upright RGB?

    av.VideoFrame -> uint8 (3, H, W) at full size, or (3, S, S)

Full-size conversion first, scaling after: torch scales uint8 far faster and nearer to PIL than
FFmpeg's scaler, on processors with wide vector units. On others FFmpeg's scaler is the faster one,
and a frame is scaled while it is converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from flipbook.video.frames import content_size, square_frames


@dataclass(frozen=True)
class Turn:
    """How a stored picture becomes upright: swap rows and columns, then mirror."""

    swaps_sides: bool = False
    mirrors_columns: bool = False
    mirrors_rows: bool = False

    @property
    def degrees(self) -> int:
        """Clockwise degrees, 0, 90, 180 or 270, of the quarter turns without a mirroring."""
        # A pure turn by 180 mirrors both axes, one by 90 swaps the sides and mirrors one axis.
        if self.swaps_sides:
            return 90 if self.mirrors_columns else 270
        return 180 if self.mirrors_rows else 0


def turn_of(frame: VideoFrame) -> Turn:
    """Return the turn that the file asks for; free angles are taken to the nearest quarter.

    Source: `libavutil/display.h`; a pixel (x, y) is displayed at (a x + c y, b x + d y).
    """
    side_data = cast(Mapping[Type, SideData], frame.side_data)  # PyAV's stubs say str to object
    matrix = side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return Turn()
    a, b, _, c, d, *_ = memoryview(bytes(matrix)).cast("i")
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(swaps_sides=False, mirrors_columns=a < 0, mirrors_rows=d < 0)
    return Turn(swaps_sides=True, mirrors_columns=c < 0, mirrors_rows=b < 0)


def picture_of(
    frame: VideoFrame, *, reformatter: VideoReformatter, frame_size: int | None, aspect: str
) -> torch.Tensor:
    """Return the upright picture of `frame`: uint8 (3, H, W), or (3, S, S) with a `frame_size`.

    Pixels are taken as square; a stored pixel aspect ratio is not applied.
    """
    turn = turn_of(frame)
    if frame_size is None:
        return turned(_rgb(frame, reformatter), turn).permute(2, 0, 1).contiguous()  # (3, H, W)
    if scales_fast():
        rgb = _rgb(frame, reformatter)
    else:
        height, width = content_size(
            frame.height, frame.width, frame_size=frame_size, aspect=aspect
        )
        rgb = _rgb(frame, reformatter, height=height, width=width)
    # Not permute first: torch takes the strides of that for those of another memory order.
    upright = turned(rgb, turn)[None].permute(0, 3, 1, 2)  # (1, 3, H, W)
    return square_frames(upright, frame_size=frame_size, aspect=aspect)[0]


def scales_fast() -> bool:
    """Return whether torch scales uint8 faster than FFmpeg does on this processor."""
    capability = torch.backends.cpu.get_cpu_capability()
    return capability.startswith(("AVX2", "AVX512"))


def turned(picture: torch.Tensor, turn: Turn) -> torch.Tensor:
    """Return an (H, W, 3) picture turned upright."""
    if turn.swaps_sides:
        picture = picture.transpose(0, 1)
    mirrored = [
        axis for axis, is_on in enumerate((turn.mirrors_rows, turn.mirrors_columns)) if is_on
    ]
    return picture.flip(mirrored) if mirrored else picture


def _rgb(
    frame: VideoFrame,
    reformatter: VideoReformatter,
    *,
    height: int | None = None,
    width: int | None = None,
) -> torch.Tensor:
    # Without further flags the colours are those of the ffmpeg program, to the last bit, and the
    # conversion takes a sixth of the time. Workers are as many as cores: more threads cost time.
    converted = reformatter.reformat(
        frame,
        width=width,
        height=height,
        format="rgb24",
        interpolation=Interpolation.BICUBIC,
        threads=1,
    )
    return torch.from_numpy(converted.to_ndarray())  # (H, W, 3)
