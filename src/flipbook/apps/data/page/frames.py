"""What does the model see of a video or image, small enough for a page?

Clip, seconds of spans -> Frame: a JPEG as a data address, when it is on display, whether it repeats
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from flipbook.evaluate.gallery import small_jpeg
from flipbook.evaluate.page.numbers import clock
from flipbook.video.clip import Clip

# Sides in px by the most frames that a clip may have for it, so that long clips stay small too.
SIDES_PX = {8: 256, 16: 192, 32: 144}
SMALLEST_SIDE_PX = 96


@dataclass(frozen=True)
class Frame:
    """A frame of a contact sheet.

    Attributes:
        uri: the picture itself.
        time: when it is on display, in words; empty for a still image.
        repeats: it is the same as the one before, because the clip is shorter.
        is_wanted: it lies in a stretch that the question asks for.
    """

    uri: str
    time: str
    repeats: bool
    is_wanted: bool


def contact_sheet(
    clip: Clip, *, is_still: bool, spans: Sequence[tuple[float, float]]
) -> list[Frame]:
    """Return the frames of a clip in order."""
    side_px = side_of(len(clip.frames))
    frames: list[Frame] = []
    for place, (pixels, time_s, index) in enumerate(
        zip(clip.frames, clip.times_s.tolist(), clip.frame_indices, strict=True)
    ):
        repeats = place > 0 and index == clip.frame_indices[place - 1]
        uri = frames[-1].uri if repeats else picture_address(pixels, side_px=side_px)
        is_wanted = any(start <= time_s <= end for start, end in spans)
        frames.append(Frame(uri, "" if is_still else clock(time_s), repeats, is_wanted))
    return frames


def side_of(num_frames: int) -> int:
    """Return the side in px to which frames are scaled for the page."""
    fitting = (side for most, side in SIDES_PX.items() if num_frames <= most)
    return next(fitting, SMALLEST_SIDE_PX)


def picture_address(pixels: Tensor, *, side_px: int) -> str:
    """Return a frame (3, S, S) as a JPEG data address of at most this side."""
    jpeg, _ = small_jpeg(pixels, most_px=side_px)
    return f"data:image/jpeg;base64,{jpeg}"
