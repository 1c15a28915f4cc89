"""When is each frame of a file on display, and from which key frame is it reached?

    OpenVideo -> Timeline

Nothing is decoded here. `timeline_from_index` reads the table that an mp4 carries, and answers only
where that table proves itself; `timeline_from_packets` reads every packet of the file. Counts in
headers are never believed, only compared: where fewer frames are there than were declared, the file
is cut short and that is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.video.stream import VideoStream

from flipbook.errors import MediaError
from flipbook.video.opening import OpenVideo
from flipbook.video.sampling import IndexArray, Ruler

# More than any codec reorders (16 frames in H.264 and HEVC), and few enough to read at once.
_NUM_FIRST_PACKETS = 20


@dataclass(frozen=True)
class Timeline:
    """The frames of one file in the order of display.

    ticks: int64 (total,), presentation times in units of `tick_s`, never falling.
    tick_s: seconds in one tick.
    is_key: bool (total,), the frames that need no other to be decoded.
    key_of: int64 (total,), for each frame the start from which it is reached: a position in
    key_ticks: int64 (num_keys,), the presentation times of all key frames, also hidden ones, and
    key_seeks: int64 (num_keys,), the timestamps to seek to for them.
    is_exact: times identify frames. False where the file repeats or misplaces them (AVI with
        reordered frames): then only decoding everything and counting tells which frame is which.
    """

    ticks: IndexArray
    tick_s: float
    is_key: npt.NDArray[np.bool_]
    key_of: IndexArray
    key_ticks: IndexArray
    key_seeks: IndexArray
    is_exact: bool

    @property
    def num_frames(self) -> int:
        return int(self.ticks.size)

    @property
    def times_s(self) -> npt.NDArray[np.float64]:
        """Seconds since the first displayed frame, float64 (total,)."""
        times_s: npt.NDArray[np.float64] = (self.ticks - self.ticks[0]) * self.tick_s
        return times_s

    @property
    def spacing_ticks(self) -> float:
        """Mean ticks from one frame to the next; the last frame stays as long on display."""
        if self.num_frames == 1:
            return 0.0
        return float(self.ticks[-1] - self.ticks[0]) / (self.num_frames - 1)

    @property
    def is_variable_rate(self) -> bool:
        """Whether any frame is off the even grid by more than the container's rounding of times."""
        grid = np.arange(self.num_frames) * self.spacing_ticks
        # A quarter: at 30 frames in a container of whole milliseconds, rounding is 1 tick of 33.
        tolerance = min(1.0, self.spacing_ticks / 4)
        return bool(np.abs(self.ticks - self.ticks[0] - grid).max() > tolerance)

    def ruler(self) -> Ruler:
        """Return the instants for a sampler: in frames at a constant rate, else in seconds."""
        if not self.is_variable_rate:
            spacing_s = self.spacing_ticks * self.tick_s
            starts = np.arange(self.num_frames, dtype=np.float64)
            return Ruler(starts, end=float(self.num_frames), unit_s=spacing_s or 1.0)
        times_s = self.times_s
        return Ruler(times_s, end=float(times_s[-1]) * (1 + 1 / (times_s.size - 1)), unit_s=1.0)


def timeline_from_index(video: OpenVideo) -> Timeline | None:
    """Return the timeline told by the file's own table, or None where that proves nothing.

    The table counts as proof in the mp4 family when its decoding times have one spacing, no edit
    list hides a frame, the file is as long as it says, and the first packets present themselves
    where the table says. Key frames are taken to start closed groups; whoever decodes checks that.
    """
    entries = video.stream.index_entries
    if "mp4" not in video.container.format.name.split(",") or len(entries) < 2:
        return None
    if len(entries) != video.stream.frames:
        return None
    table = np.array(
        [(e.timestamp, e.pos + e.size, e.is_keyframe, e.is_discard) for e in entries],
        dtype=np.int64,
    )
    decoded, ends, is_key = table[:, 0], table[:, 1], table[:, 2].astype(np.bool_)
    if table[:, 3].any() or ends.max() > video.container.size or not is_key[0]:
        return None
    spacing = int(decoded[1] - decoded[0])
    start = video.stream.start_time
    if spacing <= 0 or start is None or (np.diff(decoded) != spacing).any():
        return None
    ticks = start + spacing * np.arange(decoded.size, dtype=np.int64)
    packets = islice(video.container.demux(video.stream), _NUM_FIRST_PACKETS)
    shown = np.array(sorted(packet.pts for packet in packets if packet.pts is not None))
    if not shown.size or shown[0] != start or not np.isin(shown, ticks).all():
        return None
    return Timeline(
        ticks=ticks,
        tick_s=_tick_s(video.stream),
        is_key=is_key,
        key_of=np.cumsum(is_key) - 1,
        key_ticks=ticks[is_key],
        key_seeks=decoded[is_key],
        is_exact=True,
    )


def timeline_from_packets(video: OpenVideo) -> Timeline:
    """Return the timeline told by all packets of the file.

    Raises MediaError when no frame is there, or fewer than the file declares.
    """
    if len(video.stream.index_entries) and "mp4" in video.container.format.name.split(","):
        # Its table may have been tried before; other containers are read from the start, once.
        video.container.seek(video.stream.index_entries[0].timestamp, stream=video.stream)
    seeks_by_display = "matroska" in video.container.format.name
    packets = [
        _seen(packet, seeks_by_display=seeks_by_display)
        for packet in video.container.demux(video.stream)
        if packet.size
    ]
    # A packet marked in the middle may decode well: the decoder will tell. The last is cut short.
    is_cut = bool(packets) and packets[-1].is_corrupt
    whole = packets[:-1] if is_cut else packets
    _check_complete(video, num_found=len(whole), is_cut=is_cut)
    shown_times = [packet.time for packet in whole if not packet.is_hidden]
    _check_duration(video, shown_times)
    is_exact = (
        not _misplaces_times(video)
        and all(packet.has_time for packet in whole)
        and len(set(shown_times)) == len(shown_times)
    )
    timeline = _arranged(whole, tick_s=_tick_s(video.stream), is_exact=is_exact)
    if not timeline.num_frames:
        raise MediaError(
            video.path, "holds no frame that can be decoded; copy or download it again"
        )
    return timeline


@dataclass(frozen=True)
class _Seen:
    """What is kept of one packet."""

    time: int
    seek: int
    has_time: bool
    is_key: bool
    is_hidden: bool
    is_corrupt: bool


def _seen(packet: Packet[VideoStream], *, seeks_by_display: bool) -> _Seen:
    displayed = packet.pts if packet.pts is not None else packet.dts
    decoded = packet.dts if packet.dts is not None else packet.pts
    return _Seen(
        time=displayed or 0,
        seek=(displayed if seeks_by_display else decoded) or 0,
        has_time=packet.pts is not None,
        is_key=packet.is_keyframe,
        is_hidden=packet.is_discard or _is_never_shown(packet),
        is_corrupt=packet.is_corrupt,
    )


def _is_never_shown(packet: Packet[VideoStream]) -> bool:
    # VP8 stores reference pictures that are not displayed as packets of their own; the bit is
    # `show_frame` of the frame header (RFC 6386, section 9.1).
    return packet.stream.codec.name in ("vp8", "libvpx") and not memoryview(packet)[0] & 0x10


def _misplaces_times(video: OpenVideo) -> bool:
    # AVI has no presentation times: with reordered frames FFmpeg's are made up, and wrong.
    is_avi = video.container.format.name == "avi"
    return is_avi and bool(video.stream.codec_context.has_b_frames)


def _arranged(packets: Sequence[_Seen], *, tick_s: float, is_exact: bool) -> Timeline:
    """Sort packets, given in the order of the file, into the order of display.

    A frame is reached from the last key frame that comes before it both in the file and on
    display. Frames without one cannot be decoded and are left out:

        file     I4  b2  b3  P7  b5  b6  I10 b8  b9      (the numbers are the order of display)
        reached  I4  -   -   I4  I4  I4  I10 I4  I4
    """
    keys: list[_Seen] = []
    reached: list[tuple[int, bool, int]] = []  # time, is key, position of its start
    for packet in packets:
        if packet.is_key:
            keys.append(packet)
        start = len(keys) - 1
        while is_exact and start >= 0 and keys[start].time > packet.time:
            start -= 1
        if start >= 0 and not packet.is_hidden:
            reached.append((packet.time, packet.is_key, start))
    reached.sort(key=lambda frame: frame[0])
    return Timeline(
        ticks=np.array([time for time, _, _ in reached], dtype=np.int64),
        tick_s=tick_s,
        is_key=np.array([is_key for _, is_key, _ in reached], dtype=np.bool_),
        key_of=np.array([start for _, _, start in reached], dtype=np.int64),
        key_ticks=np.array([key.time for key in keys], dtype=np.int64),
        key_seeks=np.array([key.seek for key in keys], dtype=np.int64),
        is_exact=is_exact,
    )


def _check_complete(video: OpenVideo, *, num_found: int, is_cut: bool) -> None:
    """Raise MediaError when the file has fewer frames than its own table or header declares."""
    containers = video.container.format.name.split(",")
    declared = num_found + is_cut
    if "mp4" in containers:
        declared = max(declared, len(video.stream.index_entries))
    elif "avi" in containers:
        declared = max(declared, video.stream.frames)
    if declared > num_found:
        raise MediaError(video.path, too_few_frames(declared=declared, decodable=num_found))


def _check_duration(video: OpenVideo, times: Sequence[int]) -> None:
    """Raise MediaError when a Matroska file ends before the end of the stream that it declares."""
    declared = _clock_s(video.stream.metadata.get("DURATION", ""))
    if declared is None or len(times) < 2 or "matroska" not in video.container.format.name:
        return
    # The declared end counts from the start of the file, as the times do.
    spacing_s = float(np.median(np.diff(np.sort(times)))) * _tick_s(video.stream)
    num_declared = round((declared - min(times) * _tick_s(video.stream)) / max(spacing_s, 1e-6))
    missing_s = declared - max(times) * _tick_s(video.stream)
    if missing_s > 2.5 * spacing_s and num_declared > len(times):
        raise MediaError(video.path, too_few_frames(declared=num_declared, decodable=len(times)))


def _clock_s(text: str) -> float | None:
    """Return the seconds of `00:00:02.500000000`, or None for anything else."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None


def too_few_frames(*, declared: int, decodable: int) -> str:
    """Return the message for a file that holds fewer frames than it should."""
    return (
        f"{declared} frames declared, {decodable} decodable: the file is cut short or damaged; "
        f"copy or download it again, or keep what is whole with "
        f"`ffmpeg -i FILE -c:v libx264 whole.mp4`"
    )


def _tick_s(stream: VideoStream) -> float:
    if stream.time_base is None:
        raise ValueError("a video stream without a time base")
    return float(stream.time_base)
