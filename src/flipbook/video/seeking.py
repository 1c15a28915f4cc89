"""Which packets must be decoded to get the wanted frames?

    OpenVideo, Timeline, wanted frame indices -> {frame index: what `finish` made of the frame}

Wanted frames are grouped by the key frame they are reached from. Each group costs one seek; inside
it, packets that no other frame refers to are skipped unless they are wanted themselves:

    file      I0  P4  b2  B1  B3  P8  b6  B5  B7  I9 ...     wanted: 5
    decoded   I0  P4  b2          P8  b6  B5  stop

A frame that cannot be proven is left out of the answer; the caller decides what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import av
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from flipbook.errors import MediaError
from flipbook.video.opening import OpenVideo
from flipbook.video.timeline import Timeline

Result = TypeVar("Result")


def frames_by_time(
    video: OpenVideo,
    timeline: Timeline,
    *,
    wanted: Sequence[int],
    finish: Callable[[VideoFrame], Result],
) -> dict[int, Result]:
    """Return the wanted frames, found by presentation time. `wanted` rises; times are exact.

    A frame that does not come from its own key frame is tried from the one before: a leading
    picture of an open group needs it, and some containers seek to the middle of a packet. Damaged
    frames are left out. Raises av.FFmpegError where FFmpeg gives up.
    """
    found: dict[int, Result] = {}
    for start, group in groupby(wanted, key=lambda index: int(timeline.key_of[index])):
        indices = set(group)
        for origin in (start, start - 1):
            missing = indices - found.keys()
            if missing and origin >= 0:
                found |= _from_key(video, timeline, key=origin, wanted=missing, finish=finish)
        if not indices <= found.keys():
            break  # the table is wrong, so there is no use in the other groups
    return found


def frames_by_counting(
    video: OpenVideo,
    timeline: Timeline,
    *,
    wanted: Sequence[int],
    finish: Callable[[VideoFrame], Result],
) -> dict[int, Result]:
    """Return the wanted frames of a freshly opened video by decoding all of it.

    Where times are exact, frames are still told by them; elsewhere the n-th frame that the decoder
    gives is frame n, and nothing is returned unless as many come as the timeline holds.

    Raises MediaError for a wanted frame that is damaged, av.FFmpegError where FFmpeg gives up.
    """
    index_of_tick = {int(tick): index for index, tick in enumerate(timeline.ticks)}
    is_wanted = set(wanted)
    found: dict[int, Result] = {}
    num_decoded = 0
    for frame in _decoded_from_first_key(video):
        index = index_of_tick.get(frame.pts or 0) if timeline.is_exact else num_decoded
        num_decoded += 1
        if index is not None and index in is_wanted:
            if frame.is_corrupt:
                raise MediaError(video.path, _damaged(timeline, index))
            found[index] = finish(frame)
    if not timeline.is_exact and num_decoded != timeline.num_frames:
        return {}
    return found


def count_decodable(video: OpenVideo) -> int:
    """Return how many undamaged frames a freshly opened video gives, whatever fails between."""
    count = 0
    packets = video.container.demux(video.stream)
    while True:
        try:
            packet = next(packets)
            count += sum(not frame.is_corrupt for frame in packet.decode())
        except (StopIteration, av.EOFError):
            return count
        except av.InvalidDataError:
            continue
        except av.FFmpegError:
            return count


def _from_key(
    video: OpenVideo,
    timeline: Timeline,
    *,
    key: int,
    wanted: set[int],
    finish: Callable[[VideoFrame], Result],
) -> dict[int, Result]:
    """Return those of the wanted frames that decoding from one key frame on gives undamaged."""
    index_of_tick = {int(timeline.ticks[index]): index for index in wanted}
    found: dict[int, Result] = {}
    for frame in _decoded_until(video, timeline, key=key, ticks=set(index_of_tick)):
        index = index_of_tick.get(frame.pts) if frame.pts is not None else None
        if index is not None and not frame.is_corrupt:
            found[index] = finish(frame)
    return found


def _decoded_until(
    video: OpenVideo, timeline: Timeline, *, key: int, ticks: set[int]
) -> Iterator[VideoFrame]:
    """Yield what decoding gives from a key frame on, until all of `ticks` are decoded."""
    context = video.stream.codec_context
    pending = set(ticks)
    for packet in _packets_from(video, timeline, key=key, first_tick=min(ticks)):
        is_pending = packet.pts in pending
        context.skip_frame = "DEFAULT" if is_pending else "NONREF"
        yield from packet.decode()
        if is_pending and packet.pts is not None:
            pending.remove(packet.pts)
            if not pending:
                break
    yield from context.decode(None)


def _packets_from(
    video: OpenVideo, timeline: Timeline, *, key: int, first_tick: int
) -> Iterator[Packet[VideoStream]]:
    """Yield packets from a key frame on; none when the seek does not lead there."""
    seek, key_tick = int(timeline.key_seeks[key]), int(timeline.key_ticks[key])
    video.container.seek(seek, stream=video.stream, backward=True)
    packets = (packet for packet in video.container.demux(video.stream) if packet.size)
    for packet in packets:
        is_there = packet.is_keyframe and (packet.pts == key_tick or packet.dts == seek)
        if is_there and packet.pts is not None and packet.pts <= first_tick:
            yield packet
            yield from packets
            return
        if is_there or (packet.dts is not None and packet.dts > max(seek, key_tick)):
            return


def _decoded_from_first_key(video: OpenVideo) -> Iterator[VideoFrame]:
    video.stream.codec_context.skip_frame = "DEFAULT"
    has_started = False
    for packet in video.container.demux(video.stream):
        has_started = has_started or packet.is_keyframe
        if has_started or not packet.size:
            yield from packet.decode()


def _damaged(timeline: Timeline, index: int) -> str:
    return (
        f"frame {index} at {timeline.times_s[index]:.2f} s is damaged; "
        f"copy or download the file again"
    )
