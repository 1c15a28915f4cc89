"""Which frames does a video file give?

    path -> VideoInfo                       probe
    path -> Clip: frames, instants          read_clip
    path -> PIL images                      load_video_frames

Three ways lead to the wanted frames, from the cheapest to the most certain: trust the table of the
file and check it, read all packets first, decode everything and count. The next is taken only when
the one before could not prove its frames.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from PIL import Image

from flipbook.errors import MediaError
from flipbook.video.clip import Clip
from flipbook.video.frames import check_square
from flipbook.video.opening import OpenVideo, open_video
from flipbook.video.paths import has_extension
from flipbook.video.pixels import Turn, picture_of, turn_of
from flipbook.video.sampling import (
    IndexArray,
    check_frame_snap,
    check_sampling,
    snap_to_cheap,
)
from flipbook.video.seeking import count_decodable, frames_by_counting, frames_by_time
from flipbook.video.stretch import (
    OutsideClipError,
    inside,
    shown_frames,
    shown_length,
    stretch_of,
)
from flipbook.video.timeline import (
    Timeline,
    timeline_from_index,
    timeline_from_packets,
    too_few_frames,
)
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
        timeline = timeline_from_index(video) or _timeline(video)
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


def shown_length_of(path: str | os.PathLike[str], view: View) -> tuple[float, int]:
    """Return how many seconds and how many frames of a video a view shows; nothing is decoded.

    Raises MediaError as `read_clip` does.
    """
    with open_video(path) as video:
        timeline = timeline_from_index(video) or _timeline(video)
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
    view: View = WHOLE,
    rng: np.random.Generator | None = None,
) -> Clip:
    """Return frames of the video at `path`; only the packets they need are decoded.

    num_frames: T for the samplers `uniform` and `segments`; a shorter clip repeats frames.
    sampler: a key of `SAMPLERS`; `frames_per_s`, `min_frames` and `max_frames` serve `fps`.
    frame_size: side of the square frames in px, a multiple of 64; None keeps the full size.
    aspect: a key of `ASPECTS`, how a frame becomes a square.
    frame_snap: how far a frame may move to one that is cheaper to decode, as a share of the
        spacing, at least 0 (exact) and below 0.5.
    view: of which only the stretch or the instants count here; the whole clip if not given.
    rng: where `segments` draws its instants, for training; None takes the middles.

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
    }
    check_sampling(**sampling)
    if frame_size is not None:
        check_square(frame_size=frame_size, aspect=aspect)
    reformatter = VideoReformatter()
    name = os.fspath(path)

    def choose(timeline: Timeline) -> IndexArray:
        try:
            return _chosen(timeline, view, frame_snap=frame_snap, rng=rng, **sampling)
        except OutsideClipError as error:
            raise MediaError(name, str(error)) from error

    def finish(frame: VideoFrame) -> torch.Tensor:
        return picture_of(frame, reformatter=reformatter, frame_size=frame_size, aspect=aspect)

    timeline, indices, pictures = _decode(name, choose=choose, finish=finish)
    _check_one_shape(name, pictures)
    return Clip(
        path=name,
        frames=torch.stack([pictures[index] for index in indices]),  # (T, 3, H, W)
        times_s=torch.from_numpy(timeline.times_s[indices]),
        frame_indices=tuple(indices),
        num_repeated=len(indices) - len(pictures),
    )


def _chosen(timeline: Timeline, view: View, *, frame_snap: float, **how: Any) -> IndexArray:
    """Return the indices of the frames that are taken; those of named instants never move."""
    ruler = timeline.ruler()
    indices = shown_frames(ruler, view, **how)
    if view.times_s or frame_snap == 0:
        return indices
    is_cheap = inside(stretch_of(ruler, view), timeline.is_key)
    return snap_to_cheap(ruler, indices, is_cheap=is_cheap, frame_snap=frame_snap)


def load_video_frames(video_path: str | os.PathLike[str], num_frames: int = 8) -> list[Image.Image]:
    """Return `num_frames` frames spread evenly over a video, first and last included.

    Upright RGB images at full size. A clip that is shorter repeats frames. Raises as `read_clip`.
    """
    clip = read_clip(video_path, num_frames=num_frames)
    return [Image.fromarray(frame.permute(1, 2, 0).numpy()) for frame in clip.frames]


def _decode(
    name: str,
    *,
    choose: Callable[[Timeline], IndexArray],
    finish: Callable[[VideoFrame], torch.Tensor],
) -> tuple[Timeline, list[int], dict[int, torch.Tensor]]:
    """Return the timeline, the chosen frame indices, and each distinct one's finished frame."""
    with open_video(name) as video:
        quick = timeline_from_index(video)
        if quick is not None:
            indices = choose(quick).tolist()
            pictures = _seek(video, quick, wanted=sorted(set(indices)), finish=finish)
            if pictures is not None:
                return quick, indices, pictures
        timeline = _timeline(video)
        indices = choose(timeline).tolist()
        wanted = sorted(set(indices))
        pictures = _seek(video, timeline, wanted=wanted, finish=finish)
    if pictures is None:
        pictures = _count(name, timeline, wanted=wanted, finish=finish)
    return timeline, indices, pictures


def _seek(
    video: OpenVideo,
    timeline: Timeline,
    *,
    wanted: list[int],
    finish: Callable[[VideoFrame], torch.Tensor],
) -> dict[int, torch.Tensor] | None:
    """Return the wanted frames by seeking, or None when that could not prove all of them."""
    if not timeline.is_exact:
        return None
    try:
        pictures = frames_by_time(video, timeline, wanted=wanted, finish=finish)
    except av.FFmpegError:
        return None
    return pictures if len(pictures) == len(wanted) else None


def _count(
    name: str,
    timeline: Timeline,
    *,
    wanted: list[int],
    finish: Callable[[VideoFrame], torch.Tensor],
) -> dict[int, torch.Tensor]:
    reason = "the frames do not come at the times that the file declares"
    with open_video(name) as video:
        try:
            pictures = frames_by_counting(video, timeline, wanted=wanted, finish=finish)
        except av.FFmpegError as error:
            pictures, reason = {}, str(error)
    if len(pictures) == len(wanted):
        return pictures
    with open_video(name) as video:
        decodable = count_decodable(video)
    if decodable < timeline.num_frames:
        raise MediaError(name, too_few_frames(declared=timeline.num_frames, decodable=decodable))
    raise MediaError(
        name,
        f"cannot be decoded exactly ({reason}); "
        f"encode it again with `ffmpeg -i FILE -c:v libx264 whole.mp4`",
    )


def _timeline(video: OpenVideo) -> Timeline:
    try:
        return timeline_from_packets(video)
    except av.FFmpegError as error:
        raise MediaError(
            video.path, f"cannot be read to its end ({error}); copy or download it again"
        ) from error


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
