"""A file becomes frames: path -> Clip with frames (T, 3, H, W) uint8 and times_s (T,)."""

from flipbook.video.clip import Clip
from flipbook.video.decode import (
    VIDEO_EXTENSIONS,
    VideoInfo,
    is_video_file,
    load_video_frames,
    probe,
    read_clip,
)
from flipbook.video.frames import ASPECTS, is_image_file, read_image, square_frames
from flipbook.video.sampling import SAMPLERS

__all__ = [
    "ASPECTS",
    "SAMPLERS",
    "VIDEO_EXTENSIONS",
    "Clip",
    "VideoInfo",
    "is_image_file",
    "is_video_file",
    "load_video_frames",
    "probe",
    "read_clip",
    "read_image",
    "square_frames",
]
