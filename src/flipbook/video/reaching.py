"""How are wanted frames got out of a file, and what proves that they are the right ones?

    path, choose: Timeline -> frame indices, finish: frame -> anything
        ->  Timeline, indices, {frame index: what `finish` made of the frame}

Three ways lead to them, from the cheapest to the most certain: trust the table of the file and
check it, read all packets first, decode everything and count. The next is taken only when the one
before could not prove its frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import av
from av.video.frame import VideoFrame

from flipbook.errors import MediaError
from flipbook.video.opening import OpenVideo, open_video
from flipbook.video.sampling import IndexArray
from flipbook.video.seeking import count_decodable, frames_by_counting, frames_by_time
from flipbook.video.timeline import (
    Timeline,
    timeline_from_index,
    timeline_from_packets,
    too_few_frames,
)

Result = TypeVar("Result")


def reach_frames(
    name: str,
    *,
    choose: Callable[[Timeline], IndexArray],
    finish: Callable[[VideoFrame], Result],
) -> tuple[Timeline, list[int], dict[int, Result]]:
    """Return the timeline, the chosen frame indices, and what each distinct frame became.

    Args:
        choose: gives the frames that are wanted; asked again where the first timeline failed.
        finish: what becomes of a decoded frame.

    Raises MediaError when the file may not be opened, is no video, is cut short or damaged.
    """
    with open_video(name) as video:
        quick = timeline_from_index(video)
        if quick is not None:
            indices = choose(quick).tolist()
            pictures = _seek(video, quick, wanted=sorted(set(indices)), finish=finish)
            if pictures is not None:
                return quick, indices, pictures
        timeline = timeline_of(video)
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
    finish: Callable[[VideoFrame], Result],
) -> dict[int, Result] | None:
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
    finish: Callable[[VideoFrame], Result],
) -> dict[int, Result]:
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


def timeline_of(video: OpenVideo) -> Timeline:
    """Return the timeline that all packets of a file tell.

    Raises MediaError when the file cannot be read to its end.
    """
    try:
        return timeline_from_packets(video)
    except av.FFmpegError as error:
        raise MediaError(
            video.path, f"cannot be read to its end ({error}); copy or download it again"
        ) from error
