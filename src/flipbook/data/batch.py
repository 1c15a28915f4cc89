"""How do samples become a batch, and manifests a data module?

    Samples -> Batch: input_ids, labels, attention_mask (B, L),
                      frames (B, T, 3, S, S) or (F, 3, S, S)

Clips of one length stay a five-dimensional batch of videos. Where lengths differ, or images, videos
and texts are mixed, all frames stand in one row, sample by sample, as their placeholders do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, Protocol, TypedDict

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from flipbook.data.conversation import IGNORE_INDEX
from flipbook.data.dataset import DataSettings, LazySupervisedDataset
from flipbook.data.sample import Sample
from flipbook.errors import FlipbookError


class Batch(TypedDict):
    """Samples padded on the right to one length.

    `input_ids`, `labels`, `attention_mask`: int64 (B, L). `frames`: uint8, absent when no sample
    has any. `num_frames`: how many frames each sample has; `num_repeated`: how many of all of them
    repeat another. `record_ids`: which records they are. `error`: present instead of all else when
    a sample could not be made.
    """

    input_ids: NotRequired[Tensor]
    labels: NotRequired[Tensor]
    attention_mask: NotRequired[Tensor]
    frames: NotRequired[Tensor]
    num_frames: NotRequired[list[int]]
    num_repeated: NotRequired[int]
    record_ids: NotRequired[list[str]]
    error: NotRequired[FlipbookError]


class DataCollatorForSupervisedDataset:
    """Puts samples into a Batch.

    Args:
        tokenizer: gives the id that pads; the end-of-text id where it has none.
    """

    def __init__(self, tokenizer: Any) -> None:
        pad_token_id = tokenizer.pad_token_id
        self.pad_token_id = tokenizer.eos_token_id if pad_token_id is None else pad_token_id

    def __call__(self, samples: Sequence[Sample | FlipbookError]) -> Batch:
        """Return the Batch of some samples, or one that carries the first error among them."""
        good: list[Sample] = []
        for sample in samples:
            if isinstance(sample, FlipbookError):
                return {"error": sample}
            good.append(sample)
        lengths = torch.tensor([len(sample.input_ids) for sample in good])
        longest = int(lengths.max())
        batch: Batch = {
            "input_ids": _pad([sample.input_ids for sample in good], self.pad_token_id),
            "labels": _pad([sample.labels for sample in good], IGNORE_INDEX),
            # Told by length, not by the padding token: an answer may hold that token too.
            "attention_mask": (torch.arange(longest) < lengths[:, None]).long(),
            "num_frames": [len(sample.frames) for sample in good],
            "num_repeated": sum(sample.num_repeated for sample in good),
            "record_ids": [sample.record_id for sample in good],
        }
        frames = batch_frames([sample.frames for sample in good])
        if frames is not None:
            batch["frames"] = frames
        return batch


def batch_frames(clips: Sequence[Tensor]) -> Tensor | None:
    """Return clips (T, 3, S, S) as (B, T, 3, S, S) where all T agree, else as (F, 3, S, S).

    None when no clip has a frame.
    """
    counts = {len(frames) for frames in clips}
    if counts == {0}:
        return None
    if len(counts) == 1:
        return torch.stack(list(clips))  # (B, T, 3, S, S)
    return torch.cat(list(clips))  # (F, 3, S, S)


def _pad(rows: list[Tensor], value: int) -> Tensor:
    return pad_sequence(rows, batch_first=True, padding_value=value)  # (B, L)


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


def make_supervised_data_module(tokenizer: Any, data_args: DataModuleSettings) -> DataModule:
    """Return training data, validation data (None without a path) and the collator.

    Raises:
        DataError: see `LazySupervisedDataset`.
    """
    eval_dataset = None
    if data_args.validation_data_path:
        eval_dataset = LazySupervisedDataset(
            data_args.validation_data_path, tokenizer, data_args, training=False
        )
    return {
        "train_dataset": LazySupervisedDataset(data_args.data_path, tokenizer, data_args),
        "eval_dataset": eval_dataset,
        "data_collator": DataCollatorForSupervisedDataset(tokenizer),
    }
