"""What is one thing to learn from?

Records of one clip + its frames -> Sample (with labels)

A Sample may hold several conversations about the same clip. They share its beginning:

    segments          prefix                    branch 1            branch 2
    input_ids         system words, frames      question, answer    question, answer
    positions         0 1 2 ... P-1             P P+1 ...           P P+1 ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from flipbook.data.labels.tokens import IGNORE_INDEX
from flipbook.video.layouts import Pooling, num_places


@dataclass(frozen=True)
class Visual:
    """What is seen of one video or image.

    Attributes:
        num_frames: T.
        frames: uint8 (T, 3, S, S); None where the store had the features.
        features: (T, P, C), what the vision tower makes of the frames; None where it has still
            to see them.
        key: under which the features are to be stored; None where they are not.
        num_repeated: how many of the frames repeat another one, because the clip is shorter.
        pooling: what becomes of the features before they are read, see `flipbook.model.pooling`.
        continues: it shows the same clip as the visual before it, at another side.

    Raises:
        ValueError: neither or both of frames and features are there, or not T of them.
    """

    num_frames: int
    frames: Tensor | None = None
    features: Tensor | None = None
    key: str | None = None
    num_repeated: int = 0
    pooling: Pooling = "none"
    continues: bool = False

    def __post_init__(self) -> None:
        seen = [tensor for tensor in (self.frames, self.features) if tensor is not None]
        if len(seen) != 1 or len(seen[0]) != self.num_frames:
            got = [tuple(tensor.shape) for tensor in seen]
            raise ValueError(
                f"a visual of {self.num_frames} frames needs either frames or features, got {got}"
            )
        if self.frames is not None and (self.frames.ndim != 4 or self.frames.dtype != torch.uint8):
            shape = tuple(self.frames.shape)
            raise ValueError(f"frames must be uint8 (T, 3, S, S), got {self.frames.dtype} {shape}")
        if self.features is not None and self.features.ndim != 3:
            raise ValueError(f"features must be (T, P, C), got {tuple(self.features.shape)}")


def places_per_media(visuals: Sequence[Visual]) -> tuple[int, ...]:
    """Return how many places in the prompt each video and image has, of what is seen of them."""
    places: list[int] = []
    for visual in visuals:
        own = num_places(visual.num_frames, visual.pooling)
        if visual.continues:
            places[-1] += own
        else:
            places.append(own)
    return tuple(places)


@dataclass(frozen=True)
class Sample:
    """One conversation, or several about one clip, ready to be put into a batch.

    Attributes:
        record_ids: which records the conversations are of.
        input_ids: int64 (L,).
        labels: int64 (L,); -100 wherever nothing is to be learned.
        segments: the length of the shared prefix, then of each branch; (L,) for one conversation.
        visuals: of every video and image, in the order of their placeholders.
        num_repeated: how many of the frames repeat another one, because the clip is shorter.
        num_mismatched_tokens: by how many tokens encoding the whole text at once would differ.
        is_filler: nothing is learned of it; it keeps a process busy that has no sample left.
        conversations: their numbers in the table, where they come from one.

    Raises:
        ValueError: shapes do not fit, or a prefix or the first token of a branch is supervised.
    """

    record_ids: tuple[str, ...]
    input_ids: Tensor
    labels: Tensor
    segments: tuple[int, ...]
    visuals: tuple[Visual, ...]
    num_repeated: int = 0
    num_mismatched_tokens: int = 0
    is_filler: bool = False
    conversations: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.input_ids.ndim != 1 or self.input_ids.shape != self.labels.shape:
            shapes = f"{tuple(self.input_ids.shape)} and {tuple(self.labels.shape)}"
            raise ValueError(f"input_ids and labels must both be (L,), got {shapes}")
        if sum(self.segments) != len(self.input_ids) or min(self.segments, default=0) < 1:
            raise ValueError(f"segments {self.segments} do not cover {len(self.input_ids)} tokens")
        if len(self.record_ids) != max(1, len(self.segments) - 1):
            raise ValueError(f"{len(self.record_ids)} records in segments {self.segments}")
        ends = list(accumulate(self.segments))
        learned = self.labels != IGNORE_INDEX
        if len(ends) > 1 and (learned[: ends[0]].any() or learned[ends[:-1]].any()):
            raise ValueError("a token of the prefix, or the first of a branch, is supervised")

    @property
    def num_frames(self) -> int:
        """In all its visuals."""
        return sum(visual.num_frames for visual in self.visuals)
