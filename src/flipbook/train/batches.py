"""Which batches does each process read?

dataset, arguments -> PackedBatches -> loader: Batches, decoded by workers ahead of time
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch.utils.data import DataLoader
from transformers.trainer_utils import seed_worker

from flipbook.data.batch import DataCollatorForSupervisedDataset
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.packing import PackedBatches, make_units
from flipbook.errors import ArgumentError
from flipbook.train.arguments import DataArguments, TrainingArguments


@dataclass(frozen=True)
class BatchRules:
    """What goes into one pass and into one batch.

    Attributes:
        questions_per_pass: most questions about one clip behind one copy of its frames.
        max_batch_tokens: most tokens of a batch; None counts questions instead.
    """

    questions_per_pass: int = 1
    max_batch_tokens: int | None = None

    @classmethod
    def of(cls, data_args: DataArguments) -> BatchRules:
        """Return the rules that the arguments ask for."""
        return cls(data_args.questions_per_pass, data_args.max_batch_tokens)

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
    ) -> PackedBatches:
        """Return the batches of a dataset.

        Args:
            batch_size: questions of a batch, where tokens are not counted.
            seed: of their order; None keeps that of the records.

        Raises:
            ArgumentError: a conversation is longer than a batch.
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
            epoch_of=dataset.epoch,
        )


def make_loader(
    dataset: LazySupervisedDataset,
    batches: PackedBatches,
    *,
    args: TrainingArguments,
    collator: DataCollatorForSupervisedDataset,
) -> DataLoader[Any]:
    """Return what reads the batches of all processes; the accelerator gives each its share."""
    return DataLoader(
        dataset,
        batch_sampler=batches,  # lists of tuples of conversations
        collate_fn=collator,
        num_workers=args.dataloader_num_workers,
        pin_memory=args.dataloader_pin_memory,
        persistent_workers=args.dataloader_persistent_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
        multiprocessing_context=args.dataloader_multiprocessing_context,
        worker_init_fn=partial(
            seed_worker, num_workers=args.dataloader_num_workers, rank=args.process_index
        ),
    )
