"""Which frames does a conversation show?

    Turns -> Media -> Visuals: frames uint8 (T, 3, S, S), or features (T, P, C) from the store,
                      in the order of their placeholders

The one place where files become the model's frames: training, validation, evaluation and chat all
come through here. Where the store has the features of a clip, nothing is decoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flipbook.data.augment import (
    KEEPS_TIME,
    UNCHANGED,
    Change,
    changed_frames,
    draw_change,
)
from flipbook.data.features.store import FeatureStore
from flipbook.data.sample import Visual, places_per_media
from flipbook.data.shown import (
    expected_frames,
    laid_out,
    layout_of,
    read_shown,
    tokens_per_frame,
)
from flipbook.data.turns import Media, Turn
from flipbook.data.workers.working import reading_file
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
    """Which random instants samplers take, and how clips are changed: a function of the three.

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
        draw: lets samplers draw, see `DRAWING_SAMPLERS`; none gives the same frames every time.

    Raises:
        MediaError: a file cannot give its frames.
        ValueError: the media are to be seen at sides of different length, or the layout pools what
            the tower makes of frames, so that frames alone are not what the model reads.
    """
    read = read_visuals(media, settings, draw=draw)
    if any(visual.pooling != "none" for visual in read.visuals):
        raise ValueError(f"the layout {settings.layout} pools features; read the visuals instead")
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
    stays: int | None = None,
) -> MediaVisuals:
    """Return what is seen of videos and images: features where the store has them, else frames.

    A layout may show a clip to the tower in several parts, each a visual; see `Visual.continues`.

    Args:
        draw: lets samplers draw, see `DRAWING_SAMPLERS`; none gives the same frames every time.
        store: where features are looked for; what it does not have gets the key under which its
            features are to be written.
        stays: what of clips must not change, see `what_stays`, where they are to be changed by
            what is drawn; None changes nothing.

    Raises:
        MediaError: a file cannot give its frames.
        ValueError: clips are to be changed, and there is no draw, or a store, which keeps none.
    """
    if stays is not None and (draw is None or store is not None):
        raise ValueError("changed clips are drawn anew each time, and no store keeps them")
    visuals: list[Visual] = []
    for number, item in enumerate(media):
        drawn = None
        sampler = item.view.sampler or settings.sampler
        if draw is not None and item.kind == "video" and sampler in DRAWING_SAMPLERS:
            drawn = draw.of(number)
        change = UNCHANGED
        if draw is not None and stays is not None and item.kind == "video":
            change = _change_of(item, settings, draw.of(number), stays=stays)
        with reading_file(item):
            visuals += _read_item(item, settings, draw=drawn, store=store, change=change)
    return MediaVisuals(
        tuple(visuals),
        places_per_media(visuals),
        sum(visual.num_repeated for visual in visuals),
    )


def _change_of(item: Media, settings: ClipSettings, draw: Draw, *, stays: int) -> Change:
    """Return how a clip changes; its time stays where numbers or words depend on its length."""
    if settings.timestamps or item.view.over(settings).sampler == "fps":
        stays |= KEEPS_TIME
    rng = sample_rng(draw.seed, draw.view, f"{draw.name}/change")
    return draw_change(rng, stays=stays)


def _read_item(
    item: Media,
    settings: ClipSettings,
    *,
    draw: Draw | None,
    store: FeatureStore | None,
    change: Change,
) -> list[Visual]:
    """Return what is seen of one video or image, in the parts that its layout shows the tower."""
    layout = layout_of(item, settings)
    if store is None:
        return _decode(item, settings, draw=draw, keys=None, change=change)
    word = draw.word if draw is not None else None
    keys = _keys(store, item, settings, draw=word)
    stored = [store.read(key) for key in keys]
    found = [
        Visual(
            len(part.features),
            features=part.features,
            key=key,
            num_repeated=part.num_repeated,
            pooling=layout.pooling,
            continues=number > 0,
        )
        for number, (key, part) in enumerate(zip(keys, stored, strict=True))
        if part is not None
    ]
    if len(found) == len(keys):
        return found
    visuals = _decode(item, settings, draw=draw, keys=keys)
    if _keys(store, item, settings, draw=word) != keys:  # another file has taken its place
        return _decode(item, settings, draw=draw, keys=None)
    return visuals


def _keys(
    store: FeatureStore, item: Media, settings: ClipSettings, *, draw: str | None
) -> list[str]:
    num_parts = layout_of(item, settings).num_parts
    return [store.key(item, settings, draw=draw, part=part) for part in range(num_parts)]


def _decode(
    item: Media,
    settings: ClipSettings,
    *,
    draw: Draw | None,
    keys: Sequence[str] | None,
    change: Change = UNCHANGED,
) -> list[Visual]:
    rng = None if draw is None else sample_rng(*draw)
    clip = read_shown(item, settings, rng=rng, time_crop=change.time_crop)
    frames = clip.frames if change == UNCHANGED else changed_frames(clip.frames, change)
    visuals = visuals_of(item, frames, settings, num_repeated=clip.num_repeated)
    if keys is None:
        return visuals
    return [replace(visual, key=key) for visual, key in zip(visuals, keys, strict=True)]


def visuals_of(
    item: Media, frames: Tensor, settings: ClipSettings, *, num_repeated: int = 0
) -> list[Visual]:
    """Return what the tower sees of frames of a video or image, in the parts of its layout.

    Args:
        frames: that `read_shown` gave, in whatever order.
        num_repeated: how many of them repeat another one.
    """
    pooling = layout_of(item, settings).pooling
    return [
        Visual(
            len(part),
            frames=part,
            num_repeated=0 if number else num_repeated,
            pooling=pooling,
            continues=number > 0,
        )
        for number, part in enumerate(laid_out(item, frames, settings))
    ]


def sample_rng(seed: int, view: int, name: str) -> np.random.Generator:
    """Return the random numbers of one clip in one view: a pure function of the three."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng([seed, view, int.from_bytes(digest[:8], "little")])
