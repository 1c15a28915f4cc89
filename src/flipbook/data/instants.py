"""At which instants does a clip show its frames, told before it is decoded?

    Media, ClipSettings  ->  seconds of each frame of each clip; none of a still image

These are the instants that the sampler asks for, by the clip's length alone, so the words in which
a prompt says them are as many before the first step as they are in it, in training and afterwards.
Where `segments` jitters in training, the middles are said, at most half a segment away. Controls
that change the order of frames leave the words as they are: frames move, and the clock does not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache

from flipbook.data.shown import pictures_of
from flipbook.data.turns import Media
from flipbook.errors import MediaError
from flipbook.video.decode import shown_instants_of
from flipbook.video.frame_files import frame_files_ruler
from flipbook.video.settings import ClipSettings
from flipbook.video.stretch import OutsideClipError, shown_instants_s
from flipbook.video.view import View

_MOST_REMEMBERED = 100_000  # files; a few hundred bytes each


def times_of(media: Sequence[Media], settings: ClipSettings) -> tuple[tuple[float, ...], ...]:
    """Return the instants in seconds that are said before the frames of each video or image.

    There are as many as `expected_frames` tells, rising, counted from the clip's first frame; none
    of a still image, and none at all where `settings.timestamps` is off.

    Raises:
        MediaError: a file cannot tell its length, or pictures of a clip have no rate.
    """
    return tuple(_times_of(item, item.view.over(settings)) for item in media)


def _times_of(item: Media, settings: ClipSettings) -> tuple[float, ...]:
    if not settings.timestamps or item.kind == "image":
        return ()
    if item.view.times_s:
        return item.view.times_s
    pictures = pictures_of(item)
    if not pictures:
        return _of_file(item.path, _state(item.path), item.view, settings)
    if item.view.frames_fps is None:
        raise MediaError(
            item.path,
            "is made of pictures, and nobody says how many of them are a second, so there are no "
            "timestamps; give frames_fps in the record, or --frames_fps",
        )
    ruler = frame_files_ruler(len(pictures), item.view.frames_fps)
    try:
        return shown_instants_s(ruler, item.view, **_sampling(settings))
    except OutsideClipError as error:
        raise MediaError(item.path, str(error)) from error


@lru_cache(maxsize=_MOST_REMEMBERED)
def _of_file(
    path: str, _state: tuple[int, int], view: View, settings: ClipSettings
) -> tuple[float, ...]:
    return shown_instants_of(path, view, **_sampling(settings))


def _state(path: str) -> tuple[int, int]:
    """Return what tells a file from another that takes its place: size and time of change."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise MediaError(path, f"cannot be read ({error}); check the path") from error
    return status.st_size, status.st_mtime_ns


def _sampling(settings: ClipSettings) -> dict[str, float | str]:
    names = ("num_frames", "sampler", "frames_per_s", "min_frames", "max_frames")
    return {name: getattr(settings, name) for name in names}
