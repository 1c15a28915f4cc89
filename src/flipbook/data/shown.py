"""What does the model see of one video or image, and how much is that?

    Media, ClipSettings -> Clip: frames uint8 (T, 3, S, S), instants     read_shown
            its frames  -> what the vision tower sees, by the layout     laid_out
                        -> how many frames, of how many tokens each      without decoding

A clip is a file, a folder of pictures, or a list of them; its view goes before the run's settings.
Where a layout puts other places than one for each frame into the prompt, those are the frames of
`expected_frames` and `tokens_per_frame`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from flipbook.data.budget import TokensPerFrame
from flipbook.data.turns import Media
from flipbook.errors import MediaError
from flipbook.video.clip import Clip
from flipbook.video.decode import read_clip, shown_length_of
from flipbook.video.frame_files import frame_files_ruler, list_frame_files, read_frame_files
from flipbook.video.frames import read_image
from flipbook.video.layouts import FRAMES, LAYOUTS, Layout
from flipbook.video.sampling import num_frames_at_rate
from flipbook.video.settings import ClipSettings
from flipbook.video.stretch import ALL_TIME, OutsideClipError, shown_length


def read_shown(
    item: Media,
    settings: ClipSettings,
    *,
    rng: np.random.Generator | None = None,
    time_crop: tuple[float, float] = ALL_TIME,
) -> Clip:
    """Return the frames of a video or image as the model sees them, with their instants.

    A still image is a clip of one frame, at 0 s. Frames of a grid are at the side of its cells, or
    a little larger.

    Args:
        settings: of the run; what the view of `item` has of its own comes before them.
        rng: lets samplers draw, see `DRAWING_SAMPLERS`.
        time_crop: from where to where a clip is seen, as shares of what its view shows.

    Raises:
        MediaError: a file cannot give its frames.
    """
    own = item.view.over(settings)
    if item.kind == "image":
        image = read_image(item.path, frame_size=own.frame_size, aspect=own.aspect)
        return Clip(item.path, image.unsqueeze(0), torch.zeros(1, dtype=torch.float64), (0,), 0)
    pictures = pictures_of(item)
    how = own.clip_kwargs() | {"view": item.view, "rng": rng, "time_crop": time_crop}
    if own.layout != FRAMES:
        how["frame_size"] = LAYOUTS[own.layout].read_px(_expected(item, own), own.frame_size)
    if not pictures:
        return read_clip(item.path, **how)
    del how["frame_snap"]  # every picture is as cheap as the others
    return read_frame_files(item.path, pictures, **how)


def layout_of(item: Media, settings: ClipSettings) -> Layout:
    """Return how the frames of a video or image lie; a still image is always as it is."""
    return LAYOUTS[settings.layout if item.kind == "video" else FRAMES]


def laid_out(item: Media, frames: Tensor, settings: ClipSettings) -> tuple[Tensor, ...]:
    """Return what the vision tower sees of frames that `read_shown` gave, in whatever order.

    Of most layouts one tensor, uint8 (T', 3, S', S'); of `slow_fast` two.
    """
    own = item.view.over(settings)
    return layout_of(item, own).lay(frames, own.frame_size, own.slow_frames)


def pictures_of(item: Media) -> tuple[str, ...]:
    """Return the pictures that a clip is made of; none of a video file or a still image.

    Raises:
        MediaError: it is a folder without pictures, or one that cannot be read.
    """
    if item.frames or item.kind == "image" or not os.path.isdir(item.path):
        return item.frames
    return list_frame_files(item.path)


def files_of(item: Media) -> tuple[str, ...]:
    """Return the files of which a video or image is made, in order.

    Raises:
        MediaError: it is a folder without pictures, or one that cannot be read.
    """
    return pictures_of(item) or (item.path,)


def expected_frames(media: Sequence[Media], settings: ClipSettings) -> tuple[int, ...]:
    """Return how many frames each video or image will give, without decoding.

    Raises:
        MediaError: the sampler goes by a clip's length, and the file cannot tell it.
    """
    expected = [(item, _expected(item, item.view.over(settings))) for item in media]
    return tuple(num_places_of(item, number, settings) for item, number in expected)


def expected_pictures(
    media: Sequence[Media], settings: ClipSettings, *, frames_per_media: Sequence[int]
) -> int:
    """Return how many pictures the vision tower will see of all videos and images.

    They are those of `expected_frames`, but where a layout makes one place of many of them.

    Raises:
        MediaError: as `expected_frames`.
    """
    if LAYOUTS[settings.layout].pooling != "space_and_time":
        return sum(frames_per_media)
    return sum(_expected(item, item.view.over(settings)) for item in media)


def num_places_of(item: Media, num_frames: int, settings: ClipSettings) -> int:
    """Return how many places in the prompt a video or image has that gave `num_frames` frames."""
    tokens = _tokens(item, num_frames, settings)
    return num_frames if isinstance(tokens, int) else len(tokens)


def _tokens(item: Media, num_frames: int, settings: ClipSettings) -> TokensPerFrame:
    own = item.view.over(settings)
    is_plain = layout_of(item, own) is LAYOUTS[FRAMES]
    return own.tokens_per_frame if is_plain else own.tokens_of_clip(num_frames)


def _expected(item: Media, settings: ClipSettings) -> int:
    if item.kind == "image":
        return 1
    if item.view.times_s:
        return len(item.view.times_s)
    if settings.sampler != "fps":
        return settings.num_frames
    pictures = pictures_of(item)
    if pictures:
        ruler = frame_files_ruler(len(pictures), item.view.frames_fps)
        try:
            duration_s, num_frames = shown_length(ruler, item.view)
        except OutsideClipError as error:
            raise MediaError(item.path, str(error)) from error
    else:
        duration_s, num_frames = shown_length_of(item.path, item.view)
    return num_frames_at_rate(
        duration_s,
        num_frames,
        frames_per_s=settings.frames_per_s,
        min_frames=settings.min_frames,
        max_frames=settings.max_frames,
    )


def tokens_per_frame(media: Sequence[Media], settings: ClipSettings) -> tuple[TokensPerFrame, ...]:
    """Return how many visual tokens a frame of each video or image has.

    Where a layout makes other places, one number for each of these.

    Raises:
        MediaError: their number goes by a clip's length, and the file cannot tell it.
    """
    if settings.layout == FRAMES:
        return tuple(item.view.over(settings).tokens_per_frame for item in media)
    expected = [(item, _expected(item, item.view.over(settings))) for item in media]
    return tuple(_tokens(item, number, settings) for item, number in expected)
