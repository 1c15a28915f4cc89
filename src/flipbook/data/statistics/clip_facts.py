"""What are the clips and pictures of a data set like?

    Media, Media, ... -> MediaFacts of each, or why it has none; probed by several processes
                      -> MediaStatistics: lengths, rates, sizes, codecs

Headers and packets are read, and one frame; to decode all of it is the work of `check`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from flipbook.data.shown import pictures_of
from flipbook.data.statistics.counted import Spread, by_count, spread_of
from flipbook.data.tables.measuring import worker_context
from flipbook.data.turns import Media
from flipbook.errors import MediaError, WorkerError
from flipbook.video.decode import probe
from flipbook.video.frames import image_pixels

MIN_PARALLEL_MEDIA = 64  # from here on processes save more time than they take to begin
_NUM_PER_CHUNK = 16
PICTURES = "pictures"  # codec of a clip that is a folder or a list of them


@dataclass(frozen=True)
class MediaFacts:
    """What a clip or a picture is like; of a picture, the length and the rate are 0."""

    path: str
    kind: str
    codec: str
    width: int
    height: int
    num_bytes: int
    duration_s: float = 0.0
    num_frames: int = 1
    frames_per_s: float = 0.0
    is_variable_rate: bool = False
    is_rotated: bool = False


@dataclass(frozen=True)
class MediaStatistics:
    """What some clips and pictures are like together.

    Attributes:
        failed: those that could not be read, each with the reason.
        rates, sizes, codecs: counts, the most frequent first; a size is width x height in px.
    """

    num_videos: int
    num_images: int
    failed: tuple[tuple[str, str], ...]
    num_bytes: int
    total_s: float
    durations_s: Spread | None
    frames: Spread | None
    rates: Mapping[str, int]
    sizes: Mapping[str, int]
    codecs: Mapping[str, int]
    num_variable_rate: int
    num_rotated: int


def facts_of(item: Media) -> MediaFacts | MediaError:
    """Return what a clip or a picture is like, or why that cannot be told."""
    try:
        if item.kind == "image":
            return _facts_of_pictures(item, (item.path,), codec=_ending(item.path))
        pictures = pictures_of(item)
        if pictures:
            return _facts_of_pictures(item, pictures, codec=PICTURES)
        info = probe(item.path)
    except MediaError as error:
        return error
    return MediaFacts(
        path=item.path,
        kind=item.kind,
        codec=info.codec,
        width=info.width,
        height=info.height,
        num_bytes=os.path.getsize(item.path),
        duration_s=info.duration_s,
        num_frames=info.num_frames,
        frames_per_s=info.frames_per_s,
        is_variable_rate=info.is_variable_rate,
        is_rotated=info.rotation != 0,
    )


def read_facts_of(media: Sequence[Media], *, num_workers: int) -> Iterator[MediaFacts | MediaError]:
    """Yield what each clip and picture is like, in order.

    Args:
        num_workers: processes that share the work where it is much; 0 does it here.

    Raises:
        WorkerError: a process was ended from outside.
    """
    if num_workers < 1 or len(media) < MIN_PARALLEL_MEDIA:
        yield from map(facts_of, media)
        return
    try:
        with ProcessPoolExecutor(num_workers, worker_context()) as pool:
            yield from pool.map(facts_of, media, chunksize=_NUM_PER_CHUNK)
    except BrokenProcessPool as error:
        raise WorkerError(
            "a process that read clips was ended, by a damaged clip or for want of memory; find "
            "the clip with `flipbook data check`, or leave clips out with --no_media"
        ) from error


def summarise(facts: Iterable[MediaFacts | MediaError]) -> MediaStatistics:
    """Return what clips and pictures are like together."""
    known: list[MediaFacts] = []
    failed: list[tuple[str, str]] = []
    for one in facts:
        if isinstance(one, MediaError):
            failed.append((one.path, one.message))
        else:
            known.append(one)
    videos = [one for one in known if one.kind == "video"]
    return MediaStatistics(
        num_videos=len(videos),
        num_images=len(known) - len(videos),
        failed=tuple(failed),
        num_bytes=sum(one.num_bytes for one in known),
        total_s=sum(one.duration_s for one in videos),
        durations_s=spread_of([one.duration_s for one in videos if one.codec != PICTURES]),
        frames=spread_of([one.num_frames for one in videos]),
        rates=by_count(Counter(f"{one.frames_per_s:.4g}" for one in videos if one.frames_per_s)),
        sizes=by_count(Counter(f"{one.width} x {one.height}" for one in known)),
        codecs=by_count(Counter(one.codec for one in known)),
        num_variable_rate=sum(one.is_variable_rate for one in known),
        num_rotated=sum(one.is_rotated for one in known),
    )


def _facts_of_pictures(item: Media, pictures: Sequence[str], *, codec: str) -> MediaFacts:
    height, width = image_pixels(pictures[0]).shape[:2]
    rate = item.view.frames_fps or 0.0
    return MediaFacts(
        path=item.path,
        kind=item.kind,
        codec=codec,
        width=width,
        height=height,
        num_bytes=sum(map(os.path.getsize, pictures)),
        duration_s=len(pictures) / rate if rate else 0.0,
        num_frames=len(pictures),
        frames_per_s=rate,
    )


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower().lstrip(".")
