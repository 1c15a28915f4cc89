"""Which frames does a video file give?

path -> VideoInfo                       probe
path -> Clip: frames, instants          read_clip
path -> PIL images                      load_video_frames
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from PIL import Image

from flipbook.errors import MediaError
from flipbook.video.clip import Clip
from flipbook.video.distinct import GLIMPSE_PX, Glimpses, distinct_frames, glimpse_aspect
from flipbook.video.frames import check_square
from flipbook.video.opening import OpenVideo, open_video
from flipbook.video.paths import has_extension
from flipbook.video.pixels import Turn, picture_of, turn_of
from flipbook.video.reaching import reach_frames, timeline_of
from flipbook.video.sampling import DEFAULT_CLIP_SHARE, MIDDLE, IndexArray, check_sampling
from flipbook.video.seeking import frames_by_time
from flipbook.video.snapping import check_frame_snap, snap_to_cheap
from flipbook.video.stretch import (
    ALL_TIME,
    OutsideClipError,
    inside,
    shown_frames,
    shown_instants_s,
    shown_length,
    stretch_of,
)
from flipbook.video.timeline import Timeline, timeline_from_index
from flipbook.video.view import WHOLE, View

VIDEO_EXTENSIONS = frozenset({
    ".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts",
    ".webm", ".wmv",
})  # fmt: skip


@dataclass(frozen=True)
class VideoInfo:
    """What a file says of itself and what its packets prove.

    width, height: px of the upright picture.
    rotation: clockwise degrees by which the stored picture is turned to be upright.
    num_frames: counted, not read from a header.
    duration_s: until the last frame leaves the display.
    frames_per_s: mean rate; 0.0 for a single frame.
    """

    path: str
    codec: str
    container: str
    width: int
    height: int
    rotation: int
    num_frames: int
    duration_s: float
    frames_per_s: float
    is_variable_rate: bool


def is_video_file(path: str | os.PathLike[str]) -> bool:
    """Return whether the file name ends like a video's, upper or lower case."""
    return has_extension(path, VIDEO_EXTENSIONS)


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Return the facts of a video file. One frame is decoded, for its rotation.

    Raises MediaError as `read_clip` does.
    """
    with open_video(path) as video:
        timeline = timeline_from_index(video) or timeline_of(video)
        context = video.stream.codec_context
        width, height, turn = context.width, context.height, _first_turn(video, timeline)
        spacing_s = timeline.spacing_ticks * timeline.tick_s
        return VideoInfo(
            path=video.path,
            codec=context.name,
            container=video.container.format.name,
            width=height if turn.swaps_sides else width,
            height=width if turn.swaps_sides else height,
            rotation=turn.degrees,
            num_frames=timeline.num_frames,
            duration_s=timeline.num_frames * spacing_s,
            frames_per_s=1 / spacing_s if spacing_s else 0.0,
            is_variable_rate=timeline.is_variable_rate,
        )


def shown_instants_of(
    path: str | os.PathLike[str], view: View, **sampling: Any
) -> tuple[float, ...]:
    """Return the instants that a sampler asks for, see `shown_instants_s`; nothing is decoded.

    Raises MediaError as `read_clip` does.
    """
    with open_video(path) as video:
        ruler = (timeline_from_index(video) or timeline_of(video)).ruler()
        try:
            return shown_instants_s(ruler, view, **sampling)
        except OutsideClipError as error:
            raise MediaError(video.path, str(error)) from error


def shown_length_of(path: str | os.PathLike[str], view: View) -> tuple[float, int]:
    """Return how many seconds and how many frames of a video a view shows; nothing is decoded.

    Raises MediaError as `read_clip` does.
    """
    with open_video(path) as video:
        timeline = timeline_from_index(video) or timeline_of(video)
        try:
            return shown_length(timeline.ruler(), view)
        except OutsideClipError as error:
            raise MediaError(video.path, str(error)) from error


def read_clip(
    path: str | os.PathLike[str],
    *,
    num_frames: int = 8,
    sampler: str = "uniform",
    frame_size: int | None = None,
    aspect: str = "pad",
    frame_snap: float = 0.0,
    frames_per_s: float = 1.0,
    min_frames: int = 4,
    max_frames: int = 64,
    clip_share: float = DEFAULT_CLIP_SHARE,
    clip_place: float = MIDDLE,
    min_frame_change: float = 0.0,
    time_crop: tuple[float, float] = ALL_TIME,
    view: View = WHOLE,
    rng: np.random.Generator | None = None,
) -> Clip:
    """Return frames of the video at `path`; only the packets they need are decoded.

    num_frames: T, except for the sampler `fps`; a shorter clip repeats frames.
    sampler: a key of `SAMPLERS`; `frames_per_s`, `min_frames` and `max_frames` serve `fps`,
        `clip_share` and `clip_place` serve `sparse`.
    frame_size: side of the square frames in px, a multiple of 64; None keeps the full size.
    aspect: a key of `ASPECTS`, how a frame becomes a square.
    frame_snap: how far a frame may move to one that is cheaper to decode, as a share of the
        spacing, at least 0 (exact) and below 0.5.
    min_frame_change: grey levels by which a frame must differ to be no repeat of the one before,
        see `distinct_frames`; 0 takes the sampler's frames as they come.
    time_crop: from where to where frames are taken, as shares of what the view shows.
    view: of which only the stretch or the instants count here; the whole clip if not given.
    rng: where samplers draw, for training; None takes the middles.

    Raises MediaError when the file may not be opened, is no video, is cut short or damaged, has too
    large pictures, or ends before the view begins; ValueError for an argument that cannot be meant.
    """
    check_frame_snap(frame_snap)
    sampling: dict[str, Any] = {
        "num_frames": num_frames,
        "sampler": sampler,
        "frames_per_s": frames_per_s,
        "min_frames": min_frames,
        "max_frames": max_frames,
        "clip_share": clip_share,
        "clip_place": clip_place,
    }
    check_sampling(**sampling)
    if frame_size is not None:
        check_square(frame_size=frame_size, aspect=aspect)
    how = sampling | {"rng": rng, "time_crop": time_crop, "frame_snap": frame_snap}
    if min_frame_change > 0:
        glimpse = partial(_glimpses, os.fspath(path), aspect=aspect)
        how |= {"min_frame_change": min_frame_change, "glimpse": glimpse}
    return _read(os.fspath(path), view, how, frame_size=frame_size, aspect=aspect)


def _read(
    name: str, view: View, how: dict[str, Any], *, frame_size: int | None, aspect: str
) -> Clip:
    """Return the frames that `_chosen` chooses with the arguments `how`."""
    reformatter = VideoReformatter()

    def choose(timeline: Timeline) -> IndexArray:
        try:
            return _chosen(timeline, view, **how)
        except OutsideClipError as error:
            raise MediaError(name, str(error)) from error

    def finish(frame: VideoFrame) -> torch.Tensor:
        return picture_of(frame, reformatter=reformatter, frame_size=frame_size, aspect=aspect)

    timeline, indices, pictures = reach_frames(name, choose=choose, finish=finish)
    _check_one_shape(name, pictures)
    return Clip(
        path=name,
        frames=torch.stack([pictures[index] for index in indices]),  # (T, 3, H, W)
        times_s=torch.from_numpy(timeline.times_s[indices]),
        frame_indices=tuple(indices),
        num_repeated=len(indices) - len(pictures),
    )


def _chosen(
    timeline: Timeline,
    view: View,
    *,
    frame_snap: float,
    glimpse: Glimpses | None = None,
    **how: Any,
) -> IndexArray:
    """Return the indices of the frames that are taken; those of named instants never move."""
    ruler = timeline.ruler()
    if glimpse is not None:
        return distinct_frames(ruler, view, glimpse=glimpse, **how)
    indices = shown_frames(ruler, view, **how)
    if view.times_s or frame_snap == 0:
        return indices
    is_cheap = inside(stretch_of(ruler, view), timeline.is_key)
    return snap_to_cheap(ruler, indices, is_cheap=is_cheap, frame_snap=frame_snap)


def _glimpses(name: str, wanted: Sequence[int], *, aspect: str) -> dict[int, torch.Tensor]:
    """Return small pictures of the wanted frames, which rise; the file is opened once more."""
    reformatter = VideoReformatter()

    def finish(frame: VideoFrame) -> torch.Tensor:
        return picture_of(
            frame,
            reformatter=reformatter,
            frame_size=GLIMPSE_PX,
            aspect=glimpse_aspect(aspect),
        )

    indices = np.asarray(wanted, dtype=np.int64)
    return reach_frames(name, choose=lambda _: indices, finish=finish)[2]


def load_video_frames(video_path: str | os.PathLike[str], num_frames: int = 8) -> list[Image.Image]:
    """Return `num_frames` frames spread evenly over a video, first and last included.

    Upright RGB images at full size. A clip that is shorter repeats frames. Raises as `read_clip`.
    """
    clip = read_clip(video_path, num_frames=num_frames)
    return [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in clip.frames]


def _first_turn(video: OpenVideo, timeline: Timeline) -> Turn:
    if not timeline.is_exact:
        return Turn()  # no container without exact times can carry a rotation
    try:
        turns = frames_by_time(video, timeline, wanted=[0], finish=turn_of)
    except av.FFmpegError:
        return Turn()
    return turns.get(0, Turn())


def _check_one_shape(name: str, pictures: dict[int, torch.Tensor]) -> None:
    shapes = sorted({tuple(picture.shape[1:]) for picture in pictures.values()})
    if len(shapes) > 1:
        raise MediaError(
            name,
            f"changes its picture size on the way ({shapes}, height and width in px); "
            f"read it with a frame_size, which makes all frames alike",
        )
