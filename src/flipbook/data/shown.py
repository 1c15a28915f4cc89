"""What does the model see of one video or image, and how much is that?

    Media, ClipSettings -> Clip: frames uint8 (T, 3, S, S), instants     read_shown
                        -> how many frames, of how many tokens each      without decoding

A clip is a file, a folder of pictures, or a list of them; its view goes before the run's settings.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch

from flipbook.data.turns import Media
from flipbook.errors import MediaError
from flipbook.video.clip import Clip
from flipbook.video.decode import read_clip, shown_length_of
from flipbook.video.frame_files import frame_files_ruler, list_frame_files, read_frame_files
from flipbook.video.frames import read_image
from flipbook.video.sampling import num_frames_at_rate
from flipbook.video.settings import ClipSettings
from flipbook.video.stretch import OutsideClipError, shown_length


def read_shown(
    item: Media, settings: ClipSettings, *, rng: np.random.Generator | None = None
) -> Clip:
    """Return the frames of a video or image as the model sees them, with their instants.

    A still image is a clip of one frame, at 0 s.

    Args:
        settings: of the run; what the view of `item` has of its own comes before them.
        rng: lets the sampler `segments` jitter.

    Raises:
        MediaError: a file cannot give its frames.
    """
    own = item.view.over(settings)
    if item.kind == "image":
        image = read_image(item.path, frame_size=own.frame_size, aspect=own.aspect)
        return Clip(item.path, image.unsqueeze(0), torch.zeros(1, dtype=torch.float64), (0,), 0)
    pictures = pictures_of(item)
    if not pictures:
        return read_clip(item.path, view=item.view, rng=rng, **own.clip_kwargs())
    how = own.clip_kwargs()
    del how["frame_snap"]  # every picture is as cheap as the others
    return read_frame_files(item.path, pictures, view=item.view, rng=rng, **how)


def pictures_of(item: Media) -> tuple[str, ...]:
    """Return the pictures that a clip is made of; none of a video file or a still image.

    Raises:
        MediaError: it is a folder without pictures, or one that cannot be read.
    """
    if item.frames or item.kind == "image" or not os.path.isdir(item.path):
        return item.frames
    return list_frame_files(item.path)


def expected_frames(media: Sequence[Media], settings: ClipSettings) -> tuple[int, ...]:
    """Return how many frames each video or image will give, without decoding.

    Raises:
        MediaError: the sampler goes by a clip's length, and the file cannot tell it.
    """
    return tuple(_expected(item, item.view.over(settings)) for item in media)


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


def tokens_per_frame(media: Sequence[Media], settings: ClipSettings) -> tuple[int, ...]:
    """Return how many visual tokens a frame of each video or image has."""
    return tuple(item.view.over(settings).tokens_per_frame for item in media)
