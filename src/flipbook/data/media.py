"""Which frames does a conversation show?

    Turns -> Media -> Visuals: frames uint8 (T, 3, S, S), or features (T, P, C) from the store,
                      in the order of their placeholders

The one place where files become the model's frames: training, validation, evaluation and chat all
come through here. Where the store has the features of a clip, nothing is decoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flipbook.data.sample import Visual
from flipbook.data.shown import expected_frames, read_shown, tokens_per_frame
from flipbook.data.store import FeatureStore
from flipbook.data.turns import Media, Turn
from flipbook.video.sampling import DRAWING_SAMPLERS
from flipbook.video.settings import ClipSettings

__all__ = [
    "Draw",
    "MediaFrames",
    "MediaVisuals",
    "expected_frames",
    "media_of",
    "read_media",
    "read_shown",
    "read_visuals",
    "sample_rng",
    "tokens_per_frame",
]


class Draw(NamedTuple):
    """Which random instants the sampler `segments` takes: a pure function of the three.

    seed: of the data.
    view: the epoch; with a store, the epoch modulo the number of views that are kept.
    name: of what is seen, for example the id of the record.
    """

    seed: int
    view: int
    name: str

    def of(self, number: int) -> Draw:
        """Return the draw of one video of a conversation; each has random numbers of its own."""
        return self._replace(name=f"{self.name}#{number}") if number else self

    @property
    def word(self) -> str:
        """What tells it from all others."""
        return f"{self.seed}/{self.view}/{self.name}"


class MediaFrames(NamedTuple):
    """The frames of all videos and images of a conversation, in order."""

    frames: Tensor  # uint8 (T, 3, S, S)
    frames_per_media: tuple[int, ...]
    num_repeated: int


class MediaVisuals(NamedTuple):
    """What is seen of all videos and images of a conversation, in order."""

    visuals: tuple[Visual, ...]
    frames_per_media: tuple[int, ...]
    num_repeated: int


def media_of(turns: Iterable[Turn]) -> tuple[Media, ...]:
    """Return the videos and images of a conversation in the order of their placeholders."""
    return tuple(media for turn in turns for media in turn.media)


def read_media(
    media: Sequence[Media], settings: ClipSettings, *, draw: Draw | None = None
) -> MediaFrames:
    """Return the frames of videos and images, as the model sees them in training and afterwards.

    Args:
        draw: lets the sampler `segments` jitter; none gives the same frames every time.

    Raises:
        MediaError: a file cannot give its frames.
        ValueError: the media are to be seen at sides of different length.
    """
    read = read_visuals(media, settings, draw=draw)
    parts = [visual.frames for visual in read.visuals if visual.frames is not None]
    if len({part.shape[-1] for part in parts}) > 1:
        raise ValueError(f"frames of one conversation differ in side: {[p.shape for p in parts]}")
    size = settings.frame_size
    frames = torch.cat(parts) if parts else torch.zeros((0, 3, size, size), dtype=torch.uint8)
    return MediaFrames(frames, read.frames_per_media, read.num_repeated)


def read_visuals(
    media: Sequence[Media],
    settings: ClipSettings,
    *,
    draw: Draw | None = None,
    store: FeatureStore | None = None,
) -> MediaVisuals:
    """Return what is seen of videos and images: features where the store has them, else frames.

    Args:
        draw: lets the sampler `segments` jitter; none gives the same frames every time.
        store: where features are looked for; what it does not have gets the key under which its
            features are to be written.

    Raises:
        MediaError: a file cannot give its frames.
    """
    visuals = []
    for number, item in enumerate(media):
        drawn = None
        sampler = item.view.sampler or settings.sampler
        if draw is not None and item.kind == "video" and sampler in DRAWING_SAMPLERS:
            drawn = draw.of(number)
        visuals.append(_read_visual(item, settings, draw=drawn, store=store))
    return MediaVisuals(
        tuple(visuals),
        tuple(visual.num_frames for visual in visuals),
        sum(visual.num_repeated for visual in visuals),
    )


def _read_visual(
    item: Media, settings: ClipSettings, *, draw: Draw | None, store: FeatureStore | None
) -> Visual:
    if store is None:
        return _decode(item, settings, draw=draw, key=None)
    word = draw.word if draw is not None else None
    key = store.key(item, settings, draw=word)
    stored = store.read(key)
    if stored is not None:
        features, num_repeated = stored
        return Visual(len(features), features=features, key=key, num_repeated=num_repeated)
    visual = _decode(item, settings, draw=draw, key=key)
    if store.key(item, settings, draw=word) != key:  # another file has taken its place meanwhile
        return _decode(item, settings, draw=draw, key=None)
    return visual


def _decode(item: Media, settings: ClipSettings, *, draw: Draw | None, key: str | None) -> Visual:
    clip = read_shown(item, settings, rng=None if draw is None else sample_rng(*draw))
    return Visual(len(clip.frames), frames=clip.frames, key=key, num_repeated=clip.num_repeated)


def sample_rng(seed: int, view: int, name: str) -> np.random.Generator:
    """Return the random numbers of one clip in one view: a pure function of the three."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, view, int.from_bytes(digest[:8], "little")])
