"""How do samples become a batch, and manifests a data module?

    Samples -> Batch, one row without padding: input_ids, labels, position_ids (1, L),
                                               frames, features of each video and image

Samples stand one after the other. Which token may look at which other one follows from `segments`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, Protocol, TypedDict

import torch
from torch import Tensor

from flipbook.data.dataset import DataSettings, LazySupervisedDataset
from flipbook.data.labels.conversation import IGNORE_INDEX
from flipbook.data.labels.joining import positions
from flipbook.data.sample import Sample, Visual
from flipbook.data.sources import Source
from flipbook.errors import FlipbookError
from flipbook.video.layouts import Pooling


@dataclass(frozen=True)
class VisualSlot:
    """Where the features of one video or image of a batch come from, and where they go.

    `is_stored`: they are among `features`; else the tower makes them from `frames`, and they are to
    be stored under `key`, where there is one. `num_repeated`: how many frames repeat another one.
    `part`: in which tensor of `features` or `frames` they are. `pooling`: what becomes of them
    before they are read.
    """

    num_frames: int
    is_stored: bool
    key: str | None
    num_repeated: int = 0
    part: int = 0
    pooling: Pooling = "none"


class Batch(TypedDict):
    """Samples in one row.

    `input_ids`, `labels`, `position_ids`: int64 (1, L). `segments`: of each sample, see `Sample`.
    `visuals`: in the order of their placeholders. `frames`: uint8 (F, 3, S, S) for each side S, of
    the visuals that are not stored; `features`: (G, P, C) for each P, of those that are; each is
    absent where there is none. `num_repeated`: how many of all frames repeat another. `record_ids`:
    one for each conversation. `conversations`: their numbers in the table. `is_filler`: nothing is
    learned of it. `num_targets`: how many tokens are supervised. `error`: present instead of all
    else when a sample could not be made.
    """

    input_ids: NotRequired[Tensor]
    labels: NotRequired[Tensor]
    position_ids: NotRequired[Tensor]
    segments: NotRequired[list[tuple[int, ...]]]
    visuals: NotRequired[list[VisualSlot]]
    frames: NotRequired[list[Tensor]]
    features: NotRequired[list[Tensor]]
    num_repeated: NotRequired[int]
    record_ids: NotRequired[list[str]]
    conversations: NotRequired[list[int]]
    is_filler: NotRequired[bool]
    num_targets: NotRequired[int]
    error: NotRequired[FlipbookError]


class DataCollatorForSupervisedDataset:
    """Puts samples into a Batch."""

    def __call__(self, samples: Sequence[Sample | FlipbookError]) -> Batch:
        """Return the Batch of some samples, or one that carries the first error among them."""
        good: list[Sample] = []
        for sample in samples:
            if isinstance(sample, FlipbookError):
                return {"error": sample}
            good.append(sample)
        visuals = [visual for sample in good for visual in sample.visuals]
        frames, frame_parts = _by_size([v.frames for v in visuals])
        features, feature_parts = _by_size([v.features for v in visuals])
        batch: Batch = {
            "input_ids": torch.cat([sample.input_ids for sample in good])[None],  # (1, L)
            "labels": torch.cat([sample.labels for sample in good])[None],
            "position_ids": torch.cat([positions(sample.segments) for sample in good])[None],
            "segments": [sample.segments for sample in good],
            "visuals": [
                _slot(visual, max(in_frames, in_features))
                for visual, in_frames, in_features in zip(
                    visuals, frame_parts, feature_parts, strict=True
                )
            ],
            "num_repeated": sum(sample.num_repeated for sample in good),
            "record_ids": [name for sample in good for name in sample.record_ids],
            "conversations": [number for sample in good for number in sample.conversations],
            "is_filler": all(sample.is_filler for sample in good),
            "num_targets": sum(int((s.labels != IGNORE_INDEX).sum()) for s in good),
        }
        if frames:
            batch["frames"] = frames
        if features:
            batch["features"] = features
        return batch


def _by_size(tensors: Sequence[Tensor | None]) -> tuple[list[Tensor], list[int]]:
    """Return tensors of one size as one, and for each in which of those it is; -1 for none.

    A tensor that a worker sends costs a file descriptor, so that there must be few.
    """
    found: dict[tuple[int, ...], list[Tensor]] = {}
    sizes = [None if tensor is None else tuple(tensor.shape[1:]) for tensor in tensors]
    for tensor, size in zip(tensors, sizes, strict=True):
        if tensor is not None and size is not None:
            found.setdefault(size, []).append(tensor)
    places = {size: place for place, size in enumerate(found)}
    return (
        [torch.cat(parts) for parts in found.values()],
        [-1 if size is None else places[size] for size in sizes],
    )


def _slot(visual: Visual, part: int) -> VisualSlot:
    is_stored = visual.features is not None
    return VisualSlot(
        visual.num_frames, is_stored, visual.key, visual.num_repeated, part, visual.pooling
    )


class DataModuleSettings(DataSettings, Protocol):
    """`DataSettings`, and which files to read."""

    @property
    def data_path(self) -> str | list[str]: ...

    validation_data_path: str | None


class DataModule(TypedDict):
    """The keyword arguments of a `Trainer` that concern data."""

    train_dataset: LazySupervisedDataset
    eval_dataset: LazySupervisedDataset | None
    data_collator: DataCollatorForSupervisedDataset


def make_supervised_data_module(
    tokenizer: Any,
    data_args: DataModuleSettings,
    *,
    train: Sequence[Source] | None = None,
    validation: Sequence[Source] | None = None,
) -> DataModule:
    """Return training data, validation data (None without any) and the collator.

    Args:
        train, validation: the data sets, in place of the paths that `data_args` names.

    Raises:
        DataError: see `LazySupervisedDataset`.
    """
    named: Any = data_args.validation_data_path if validation is None else validation
    eval_dataset = None
    if named:
        eval_dataset = LazySupervisedDataset(named, tokenizer, data_args, training=False)
    return {
        "train_dataset": LazySupervisedDataset(
            data_args.data_path if train is None else train, tokenizer, data_args
        ),
        "eval_dataset": eval_dataset,
        "data_collator": DataCollatorForSupervisedDataset(),
    }
