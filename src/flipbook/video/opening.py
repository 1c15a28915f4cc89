"""How is a video file opened so that it can do no harm?

    path -> OpenVideo (container and its one video stream), closed when the `with` block ends

A file is checked before anything is decoded: it is local and regular, its container and its codec
are on the lists below, and its picture is not larger than `MAX_FRAME_PIXELS`. To allow another
container or codec, add its FFmpeg name to the list.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from flipbook.errors import MediaError
from flipbook.video.paths import checked_file

# A frame of 8K video. A file of 200 KB may declare far more and then take gigabytes to decode.
MAX_FRAME_PIXELS = 7680 * 4320

# FFmpeg's names, one of each comma-separated group is enough. Playlists, image sequences and
# everything that opens further files are left out on purpose.
_CONTAINERS = frozenset({
    "3g2", "3gp", "asf", "avi", "flv", "gif", "m4a", "m4v", "matroska", "mj2", "mov", "mp4", "mpeg",
    "mpegts", "mpegvideo", "ogg", "webm",
})  # fmt: skip
_CODECS = frozenset({
    "av1", "cfhd", "cinepak", "dnxhd", "dvvideo", "ffv1", "ffvhuff", "flv", "flv1", "gif", "h261",
    "h263", "h263i", "h263p", "h264", "hevc", "huffyuv", "indeo3", "indeo4", "indeo5", "jpeg2000",
    "libaom-av1", "libdav1d", "libvpx", "libvpx-vp9", "magicyuv", "mjpeg", "mjpegb", "mpeg1video",
    "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "msvideo1", "png",
    "prores", "qtrle", "rawvideo", "rpza", "rv30", "rv40", "svq1", "svq3", "theora", "utvideo",
    "v210", "vc1", "vp6", "vp6a", "vp6f", "vp8", "vp9", "vvc", "wmv1", "wmv2", "wmv3",
})  # fmt: skip

# What the first bytes say when a file is none of the containers above.
_SIGNATURES = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"BM", "a BMP picture"),
    (b"PK\x03\x04", "a ZIP archive: unpack it"),
    (b"RIFF", "a RIFF file without video"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"<?xml", "an XML file"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull`"),
    (b"ID3", "an audio file"),
    (b"fLaC", "an audio file"),
)


@dataclass(frozen=True)
class OpenVideo:
    """A file that is open for reading, and the one stream of it that is decoded."""

    path: str
    container: InputContainer
    stream: VideoStream


@contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[OpenVideo]:
    """Yield the open video at `path`; it is closed when the block ends.

    Decoding uses one thread: workers are as many as there are cores.

    Raises MediaError when the path may not be opened, is no video, has no video stream, or has
    larger pictures than `MAX_FRAME_PIXELS`.
    """
    name = checked_file(path)
    try:
        # The "file:" prefix keeps a name like "concat:a|b" from being read as a protocol.
        container = av.open(
            "file:" + os.path.abspath(name),
            options={
                "protocol_whitelist": "file",
                "format_whitelist": ",".join(sorted(_CONTAINERS)),
                "max_pixels": str(MAX_FRAME_PIXELS),
            },
            metadata_errors="ignore",
        )
    except (av.FFmpegError, UnicodeError) as error:
        raise MediaError(name, _not_a_video(name, error)) from error
    with container:
        yield OpenVideo(name, container, _video_stream(name, container))


def _not_a_video(name: str, error: Exception) -> str:
    with open(name, "rb") as file:
        start = file.read(32)
    for signature, what in _SIGNATURES:
        if start.startswith(signature):
            return f"is no video but {what}; name a video file"
    return (
        f"cannot be read as a video ({error}); it is damaged, cut short or of an unknown kind: "
        f"play it, or convert it with `ffmpeg -i FILE out.mp4`"
    )


def _video_stream(name: str, container: InputContainer) -> VideoStream:
    if not _CONTAINERS.intersection(container.format.name.split(",")):
        raise MediaError(
            name, f"is a {container.format.name} file, not a video; convert it to mp4 first"
        )
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise MediaError(
            name, "has no video stream, only sound or a cover picture; name a file with pictures"
        )
    chosen = streams[0]
    _check_picture(name, chosen)
    for stream in container.streams:
        if stream.index != chosen.index:
            stream.discard = Discard.all
    chosen.codec_context.thread_count = 1
    return chosen


def _check_picture(name: str, stream: VideoStream) -> None:
    context = stream.codec_context
    codec = getattr(context, "name", None)
    if codec not in _CODECS:
        raise MediaError(
            name, f"is coded as {codec or 'something unknown'}; convert it to h264 first"
        )
    width, height = context.width, context.height
    if width < 1 or height < 1:  # FFmpeg itself drops a size above its `max_pixels`
        raise MediaError(
            name,
            f"does not tell the size of its pictures, or more than {MAX_FRAME_PIXELS} pixels; "
            f"copy or download it again, or scale it down",
        )
    if width * height > MAX_FRAME_PIXELS:
        raise MediaError(
            name,
            f"has pictures of {width}x{height} px, more than {MAX_FRAME_PIXELS} pixels; "
            f"scale it down with `ffmpeg -i FILE -vf scale=1920:-2 out.mp4`",
        )
