"""What is in one video or image, when it is really read as a run would read it?

    Media, ClipSettings -> Examined: a fault or none, notes, what the model would see, content hash

This runs in a process of its own, which may be ended at any time (`pool`), so all that is opened
here is closed here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xxhash

from flipbook.data.contents import ContentHashes
from flipbook.data.doctor.findings import Finding, finding_of
from flipbook.data.shown import files_of, read_shown
from flipbook.data.turns import Media
from flipbook.errors import MediaError
from flipbook.video.clip import Clip
from flipbook.video.decode import VideoInfo, probe
from flipbook.video.paths import checked_file
from flipbook.video.settings import ClipSettings

VERY_LONG_S = 3600


@dataclass(frozen=True)
class Examined:
    """What was found in one video or image.

    Attributes:
        fault: why it cannot be used; None where it can.
        notes: what is unusual about it, and does no harm.
        num_frames: that the model would see.
        num_bytes: of the file, or of all pictures of a clip.
        content: a hash of what is in it; None where it could not be read.
        info: of a video file.
    """

    fault: Finding | None = None
    notes: tuple[Finding, ...] = ()
    num_frames: int = 0
    num_bytes: int = 0
    content: str | None = None
    info: VideoInfo | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Examined:
        """Return what `as_dict` wrote down.

        Raises:
            TypeError, KeyError: it is something else.
        """
        fault, info = values["fault"], values["info"]
        return cls(
            fault=Finding(**fault) if fault is not None else None,
            notes=tuple(Finding(**note) for note in values["notes"]),
            num_frames=int(values["num_frames"]),
            num_bytes=int(values["num_bytes"]),
            content=values["content"],
            info=VideoInfo(**info) if info is not None else None,
        )


def examine(item: Media, *, settings: ClipSettings, contents_folder: Path) -> Examined:
    """Return what is found in a video or image by reading it.

    Args:
        settings: of the run.
        contents_folder: where hashes of files are remembered, see `ContentHashes`.
    """
    content, info, num_bytes = None, None, 0
    try:
        paths = files_of(item)
        num_bytes = sum(os.stat(checked_file(path)).st_size for path in paths)
        if item.kind == "video" and paths == (item.path,):
            info = probe(item.path)
        content = _content_of(paths, ContentHashes(contents_folder))
        num_in_all = info.num_frames if info is not None else len(paths)
        if item.kind == "video" and num_in_all == 1:
            fault = Finding("one_frame", _ONE_FRAME, item.path)
            return Examined(fault, (), 1, num_bytes, content, info)
        clip = read_shown(item, settings)
    except MediaError as error:
        fault = finding_of(error, otherwise="damaged")
        return Examined(fault, (), 0, num_bytes, content, info)
    except OSError as error:
        reason = f"cannot be read ({error}); check the path, or copy it again"
        return Examined(Finding("unreadable", reason, item.path), (), 0, num_bytes, content, info)
    return Examined(
        None, tuple(_notes(item, clip, info)), len(clip.frames), num_bytes, content, info
    )


_ONE_FRAME = (
    "holds one frame, and nothing can move in it; name a picture under 'image', or leave the "
    "record out"
)


def _content_of(paths: tuple[str, ...], hashes: ContentHashes) -> str:
    each = [hashes.hash_of(path) for path in paths]
    return each[0] if len(each) == 1 else xxhash.xxh3_128_hexdigest(" ".join(each).encode())


def _notes(item: Media, clip: Clip, info: VideoInfo | None) -> Iterator[Finding]:
    if clip.num_repeated and not item.view.times_s:
        num_frames = len(clip.frames)
        yield Finding(
            "repeated_frames",
            f"gives {num_frames - clip.num_repeated} frames where {num_frames} are asked for, so "
            f"{clip.num_repeated} are shown again",
            item.path,
        )
    if info is None:
        return
    if info.is_variable_rate:
        mean = f"{info.frames_per_s:.4g}"
        yield Finding(
            "variable_rate", f"has a variable rate, {mean} frames/s on average", item.path
        )
    if info.rotation:
        yield Finding("rotated", f"is stored turned by {info.rotation} degrees", item.path)
    if info.duration_s > VERY_LONG_S:
        hours = info.duration_s / 3600
        yield Finding(
            "very_long",
            f"lasts {hours:.1f} h; a few frames say little of it, so show stretches with start_s "
            "and end_s",
            item.path,
        )
