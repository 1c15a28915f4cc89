"""In how many finished steps was each conversation?

    conversations of each batch, finished steps  ->  TrainedCounts, in each checkpoint

Each process counts what it has trained on; they are added up when a checkpoint is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from flipbook.data.epochs.packing import PackedBatches
from flipbook.errors import CheckpointError

COUNTS_FILE = "trained_counts.safetensors"
Counts = NDArray[np.int32]


class TrainedCounts:
    """How often the conversations of a table were trained on.

    Attributes:
        taken: int32 (N,), in steps that changed weights, of all processes, when they last met.
        skipped: int32 (N,), in steps that the loss scaler of fp16 left out.
        step: the step up to which both count.
    """

    def __init__(self, num_conversations: int) -> None:
        self.taken: Counts = np.zeros(num_conversations, dtype=np.int32)
        self.skipped: Counts = np.zeros(num_conversations, dtype=np.int32)
        self.step = 0
        self._own = torch.zeros((2, num_conversations), dtype=torch.int32)  # since they last met
        self._step: list[int] = []  # of which it is not known yet whether it will be finished

    def begin(self, folder: Path | None) -> None:
        """Count from the beginning, or from where a checkpoint was.

        Raises:
            CheckpointError: its counts cannot be read, or are of another number of conversations.
        """
        self._step, self.step = [], 0
        self._own.zero_()
        self.taken, self.skipped = np.zeros_like(self.taken), np.zeros_like(self.skipped)
        if folder is None:
            return
        path = folder / COUNTS_FILE
        try:
            found = load_file(path)
            taken, skipped, step = (found[name].numpy() for name in ("taken", "skipped", "step"))
        except (OSError, SafetensorError, KeyError) as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error}), so nothing tells how often each record was "
                "trained on. Take an earlier checkpoint with --resume_from_checkpoint."
            ) from error
        if taken.shape != self.taken.shape or skipped.shape != self.skipped.shape:
            raise CheckpointError(
                f"{path}: counts {len(taken):,} conversations, and this run has "
                f"{len(self.taken):,}. It belongs to another run."
            )
        self.taken, self.skipped, self.step = taken, skipped, int(step[0])

    def note(self, conversations: Sequence[int]) -> None:
        """Take note of a batch whose step is not finished."""
        self._step += conversations

    def finish_step(self, *, is_skipped: bool = False) -> None:
        """Count the batches of a step that is finished."""
        at = torch.tensor(self._step, dtype=torch.int64)
        self._own[int(is_skipped)].index_add_(0, at, torch.ones(len(at), dtype=torch.int32))
        self._step = []

    def meet(self, add_up: Callable[[Tensor], Tensor], *, step: int) -> None:
        """Add up what all processes have counted since they last met.

        Args:
            add_up: returns the sum over all processes; each calls it.
            step: the last one that was finished.
        """
        taken, skipped = add_up(self._own).cpu().numpy()
        self.taken, self.skipped = self.taken + taken, self.skipped + skipped
        self._own = torch.zeros_like(self._own)
        self.step = step

    def save(self, folder: Path) -> None:
        """Write into a checkpoint what all processes have counted when they last met."""
        save_file(
            {
                "taken": torch.from_numpy(self.taken),
                "skipped": torch.from_numpy(self.skipped),
                "step": torch.tensor([self.step]),
            },
            folder / COUNTS_FILE,
        )


def promised_counts(
    batches: PackedBatches, *, step: int, accumulation: int, num_conversations: int
) -> Counts:
    """Return how often each conversation is in the first steps of a run, by how it is packed.

    Args:
        batches: of the training data, on all processes.
        step: how many steps.
        accumulation: batches of each process in a step.
    """
    counts: Counts = np.zeros(num_conversations, dtype=np.int32)
    size = batches.num_processes * accumulation
    num_epochs, rest = divmod(step, max(-(-len(batches) // size), 1))
    for epoch in range(num_epochs):
        _add(counts, batches, batches.units_of(epoch))
    if rest:
        units = [unit for batch in batches.batches(num_epochs)[: rest * size] for unit in batch]
        _add(counts, batches, np.array([unit for unit in units if unit >= 0], dtype=np.int64))
    return counts


def _add(counts: Counts, batches: PackedBatches, seen: NDArray[np.int64]) -> None:
    """Count the conversations of some units, each as often as it is among them."""
    units = batches.units
    times = np.bincount(seen, minlength=len(units))
    np.add.at(counts, units.members, np.repeat(times, units.num_conversations).astype(np.int32))
