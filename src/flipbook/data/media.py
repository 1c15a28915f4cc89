"""Which frames does a conversation show?

    Turns -> Media -> frames uint8 (T, 3, S, S), in the order of their placeholders

The one place where files become the model's frames: training, validation, evaluation and chat all
come through `read_media`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flipbook.data.turns import Media, Turn
from flipbook.video.decode import probe, read_clip
from flipbook.video.frames import read_image
from flipbook.video.sampling import num_frames_at_rate
from flipbook.video.settings import ClipSettings


class MediaFrames(NamedTuple):
    """The frames of all videos and images of a conversation, in order."""

    frames: Tensor  # uint8 (T, 3, S, S)
    frames_per_media: tuple[int, ...]
    num_repeated: int


def media_of(turns: Iterable[Turn]) -> tuple[Media, ...]:
    """Return the videos and images of a conversation in the order of their placeholders."""
    return tuple(media for turn in turns for media in turn.media)


def read_media(
    media: Sequence[Media], settings: ClipSettings, *, rng: np.random.Generator | None = None
) -> MediaFrames:
    """Return the frames of videos and images, as the model sees them in training and afterwards.

    Args:
        rng: lets the sampler `segments` jitter; none gives the same frames every time.

    Raises:
        MediaError: a file cannot give its frames.
    """
    parts = []
    num_repeated = 0
    for item in media:
        if item.kind == "video":
            clip = read_clip(item.path, rng=rng, **settings.clip_kwargs())
            parts.append(clip.frames)  # (T, 3, S, S)
            num_repeated += clip.num_repeated
        else:
            image = read_image(item.path, frame_size=settings.frame_size, aspect=settings.aspect)
            parts.append(image.unsqueeze(0))  # (1, 3, S, S)
    size = settings.frame_size
    frames = torch.cat(parts) if parts else torch.zeros((0, 3, size, size), dtype=torch.uint8)
    return MediaFrames(frames, tuple(len(part) for part in parts), num_repeated)


def expected_frames(media: Sequence[Media], settings: ClipSettings) -> tuple[int, ...]:
    """Return how many frames each video or image will give, without decoding.

    Raises:
        MediaError: the sampler goes by a clip's length, and the file cannot tell it.
    """
    counts = []
    for item in media:
        if item.kind == "image":
            counts.append(1)
        elif settings.sampler == "fps":
            video = probe(item.path)
            counts.append(
                num_frames_at_rate(
                    video.duration_s,
                    video.num_frames,
                    frames_per_s=settings.frames_per_s,
                    min_frames=settings.min_frames,
                    max_frames=settings.max_frames,
                )
            )
        else:
            counts.append(settings.num_frames)
    return tuple(counts)


def sample_rng(seed: int, epoch: int, record_id: str) -> np.random.Generator:
    """Return the random numbers of one record in one epoch: a pure function of the three."""
    digest = hashlib.sha256(record_id.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, epoch, int.from_bytes(digest[:8], "little")])
