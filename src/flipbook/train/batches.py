"""Which batches does each process read?

dataset, arguments -> PackedBatches -> loader: Batches, decoded by workers ahead of time
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from flipbook.data.batch import DataCollatorForSupervisedDataset
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.epochs.mixing import Mixture, mix
from flipbook.data.epochs.packing import PackedBatches, Units, make_units
from flipbook.data.epochs.regrouping import RegroupedBatches
from flipbook.data.tables.table import ConversationTable
from flipbook.errors import ArgumentError
from flipbook.train.arguments import DataArguments, TrainingArguments
from flipbook.train.loading import limited_workers


@dataclass(frozen=True)
class BatchRules:
    """What goes into one pass and into one batch.

    Attributes:
        questions_per_pass: most questions about one clip behind one copy of its frames.
        max_batch_tokens: most tokens of a batch; None counts questions instead.
        image_replay: share of still images in an epoch; None as the data have them.
    """

    questions_per_pass: int = 1
    max_batch_tokens: int | None = None
    image_replay: float | None = None

    @classmethod
    def of(cls, data_args: DataArguments) -> BatchRules:
        """Return the rules that the arguments ask for."""
        return cls(data_args.questions_per_pass, data_args.max_batch_tokens, data_args.image_replay)

    def check(self, dataset: LazySupervisedDataset) -> None:
        """Check that every conversation fits into a batch.

        Raises:
            ArgumentError: one does not.
        """
        longest = dataset.check.longest_tokens
        if self.max_batch_tokens is not None and longest > self.max_batch_tokens:
            raise ArgumentError(
                f"--max_batch_tokens {self.max_batch_tokens}: record {dataset.check.longest_id} "
                f"alone has {longest} tokens. Raise it to that at least, take fewer or smaller "
                "frames, or shorten the record."
            )

    def pack(
        self,
        dataset: LazySupervisedDataset,
        *,
        batch_size: int,
        num_processes: int,
        seed: int | None,
        num_epochs: int = 1,
    ) -> PackedBatches:
        """Return the batches of a dataset.

        Args:
            batch_size: questions of a batch, where tokens are not counted.
            seed: of their order and of what a mixture draws; None keeps that of the records, and
                each is seen once.
            num_epochs: see `PackedBatches`.

        Raises:
            ArgumentError: a conversation is longer than a batch, or no share of still images can be
                had.
        """
        table = dataset.table
        most = self.questions_per_pass
        units = make_units(
            clips=table.clips,
            num_tokens=table.num_tokens,
            head_tokens=table.head_tokens,
            max_conversations=most if self.max_batch_tokens else min(most, batch_size),
            max_tokens=self.max_batch_tokens,
            seed=seed,
        )
        return PackedBatches(
            units,
            max_conversations=None if self.max_batch_tokens else batch_size,
            max_tokens=self.max_batch_tokens,
            num_processes=num_processes,
            seed=seed,
            mixture=None if seed is None else self._mixture(table, units, seed),
            num_epochs=num_epochs,
            epoch_of=dataset.epoch,
        )

    def pack_training(
        self,
        dataset: LazySupervisedDataset,
        args: TrainingArguments,
        *,
        batch_size: int,
        num_processes: int | None = None,
    ) -> PackedBatches:
        """Return the batches that a dataset has in each epoch of a run, for all processes.

        Args:
            num_processes: of the run; as many as there are now if not given. A run that goes on
                in the steps of others has their batches.

        Raises:
            ArgumentError: see `pack`.
        """
        pack = partial(
            self.pack,
            dataset,
            batch_size=batch_size,
            num_processes=args.steps_processes if num_processes is None else num_processes,
            seed=args.order_seed,
        )
        batches = pack()
        if not batches.is_alike:
            batches = pack(num_epochs=num_epochs_of(batches, args))
        return RegroupedBatches(batches, args.regrouping) if args.regrouping else batches

    def _mixture(self, table: ConversationTable, units: Units, seed: int) -> Mixture:
        first = units.members[units.starts[:-1]]  # of a unit's conversations, which are alike
        return mix(
            source_of=table.source_of[first].astype(np.int64),
            weights=tuple(source.weight for source in table.sources),
            is_still=(table.num_videos[first] == 0) & (table.num_images[first] > 0),
            num_conversations=units.num_conversations,
            image_replay=self.image_replay,
            seed=seed,
        )


def num_epochs_of(batches: PackedBatches, args: TrainingArguments) -> int:
    """Return in how many epochs a run reads batches."""
    if args.max_steps <= 0:
        return max(1, math.ceil(args.num_train_epochs))
    num_read = args.max_steps * args.steps_accumulation * batches.num_processes
    return math.ceil(num_read / len(batches)) + 1


def make_loader(
    dataset: LazySupervisedDataset,
    batches: PackedBatches,
    *,
    args: TrainingArguments,
    collator: DataCollatorForSupervisedDataset,
) -> DataLoader[Any]:
    """Return what reads the batches of all processes; the accelerator gives each its share.

    Its workers have a time and memory for what they read, see `flipbook.data.workers.failing`.
    """
    return DataLoader(
        dataset,
        batch_sampler=batches,  # lists of tuples of conversations
        collate_fn=collator,
        pin_memory=args.dataloader_pin_memory,
        persistent_workers=args.dataloader_persistent_workers,
        **limited_workers(
            args,
            [dataset],
            num_batches=math.ceil(len(batches) / args.world_size),
            num_clips=batches.most_units,
        ),
        # Without one it would draw from the numbers of dropout when it begins, and not when workers
        # that are kept begin again: a run that goes on would differ from then on.
        generator=torch.Generator().manual_seed(0),
    )


def sound(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return a batch as it is.

    Raises:
        MediaError, RecordError: one of its samples could not be made.
    """
    if "error" in inputs:
        raise inputs["error"]
    return inputs


def with_one_label(inputs: dict[str, Any]) -> dict[str, Any]:
    """Return a filler with something to predict, so that every weight gets a gradient, of zero."""
    labels = inputs["labels"].clone()
    labels[0, -1] = inputs["input_ids"][0, -1]
    return {**inputs, "labels": labels}
