"""What does the vision tower see of a question's clips and pictures, under each control?

    Media  ->  tower features (T, P, C) of each, from the store where it has them

A clip is decoded and encoded once for all its questions and all controls: a control gives the
features of its frames another order, or takes those of another clip. Where the layout makes other
pictures of frames (a grid), their order is changed before that, and the tower sees those anew.
Pooling comes last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flipbook.data.features.store import FeatureStore
from flipbook.data.media import read_visuals, visuals_of
from flipbook.data.sample import Visual
from flipbook.data.shown import layout_of, read_shown
from flipbook.data.turns import Media
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import tower_features
from flipbook.model.pooling import POOLINGS
from flipbook.score.controls import BLANK, FULL, ORDERS, in_order
from flipbook.video.frames import PX_PER_TOKEN
from flipbook.video.settings import ClipSettings

MAX_HELD_BYTES = 512 * 1024 * 1024  # between portions: another question may show the same clip


class Looked(NamedTuple):
    """What is seen of some videos and images, in order.

    Attributes:
        features: (T, P, C), pooled by the layout; of each one tensor, or two where a layout shows a
            clip at two sides.
        frames_per_media: how many places each of them has in the prompt.
    """

    features: tuple[Tensor, ...]
    frames_per_media: tuple[int, ...]


@dataclass
class _Held:
    """What is remembered of one video or image.

    Attributes:
        parts: what the tower made of it, (T, P, C); one tensor, or two of a layout that shows both.
        full: the same, pooled by the layout.
        frames: uint8 (T, 3, S, S), where an order had to be changed before the tower saw them.
    """

    parts: tuple[Tensor, ...]
    full: tuple[Tensor, ...]
    frames: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Of all of them."""
        held = {id(one): one for one in (*self.parts, *self.full)}
        return sum(one.nbytes for one in (*held.values(), *self._frames()))

    def _frames(self) -> tuple[Tensor, ...]:
        return () if self.frames is None else (self.frames,)


class Sight:
    """Looks at clips and pictures through the vision tower of a model.

    Args:
        model: a FastVLM, or a wrapper around one.
        checkpoint: how its pictures are normalised.
        settings: how clips are read.
        store: where features are looked for, and written; None keeps none.
    """

    def __init__(
        self,
        model: Any,
        checkpoint: Checkpoint,
        settings: ClipSettings,
        store: FeatureStore | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self._model = model
        self._normalisation = {
            "image_mean": checkpoint.image_mean,
            "image_std": checkpoint.image_std,
        }
        self._held: dict[Media, _Held] = {}
        self._blank: dict[int, Tensor] = {}

    def look(self, media: Sequence[Media], *, control: str, record_id: str) -> Looked:
        """Return what is seen of videos and images under a control.

        Raises:
            MediaError: one of them cannot be read.
        """
        parts = [self._under(control, item, record_id) for item in media]
        return Looked(tuple(chain(*parts)), tuple(sum(map(len, one)) for one in parts))

    def forget(self) -> None:
        """Let go of what was seen longest ago, where it is much; it is looked at again if asked."""
        held_bytes = sum(seen.nbytes for seen in self._held.values())
        for item in list(self._held):
            if held_bytes <= MAX_HELD_BYTES:
                return
            held_bytes -= self._held.pop(item).nbytes

    def _under(self, control: str, item: Media, record_id: str) -> tuple[Tensor, ...]:
        if item not in self._held:
            parts = self._look(item)
            self._held[item] = _Held(parts, self._pooled(item, parts))
        held = self._held[item]
        if control == BLANK:
            return self._pooled(item, tuple(map(self._black_like, held.parts)))
        if control == FULL or control not in ORDERS:
            return held.full
        if layout_of(item, self.settings).moves_pixels:
            return self._looked_anew(control, item, record_id)
        moved = [in_order(control, part, record_id=record_id) for part in held.parts]
        return self._pooled(item, tuple(moved))

    def _looked_anew(self, control: str, item: Media, record_id: str) -> tuple[Tensor, ...]:
        """Return what the tower makes of frames that change their places before it sees them."""
        held = self._held[item]
        if held.frames is None:
            held.frames = read_shown(item, self.settings).frames
        frames = in_order(control, held.frames, record_id=record_id)
        visuals = visuals_of(item, frames, self.settings)
        return self._pooled(item, tuple(map(self._encode, visuals)))

    def _pooled(self, item: Media, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        pool = POOLINGS[layout_of(item, self.settings).pooling]
        return tuple(map(pool, parts))

    def _look(self, item: Media) -> tuple[Tensor, ...]:
        visuals = read_visuals((item,), self.settings, store=self.store).visuals
        return tuple(map(self._seen, visuals))

    def _seen(self, visual: Visual) -> Tensor:
        if visual.features is not None:
            return visual.features
        seen = self._encode(visual)
        if self.store is not None and visual.key is not None:
            self.store.write(visual.key, seen, num_repeated=visual.num_repeated)
        return seen

    def _encode(self, visual: Visual) -> Tensor:
        if visual.frames is None:
            raise ValueError("a visual without frames has features")
        with torch.inference_mode():
            return tower_features(self._model, visual.frames, **self._normalisation).cpu()

    def _black_like(self, seen: Tensor) -> Tensor:
        """Return the features of black frames, as many and as large as those that were seen."""
        frame_size = math.isqrt(seen.shape[1]) * PX_PER_TOKEN
        if frame_size not in self._blank:
            black = torch.zeros((1, 3, frame_size, frame_size), dtype=torch.uint8)
            self._blank[frame_size] = self._encode(Visual(1, frames=black))  # (1, P, C)
        return self._blank[frame_size].expand_as(seen)
