"""How do other processes take the same steps?

    batches of an epoch, made for W processes that take A each  ->  the same ones for W' processes

Step k has batches k*W*A to (k+1)*W*A, on however many processes they are read. Where these cannot
share them evenly, some get a filler, of which nothing is learned:

    W = 2, A = 1        b0 b1 | b2 b3 | b4 b5
    W' = 1, A' = 2      b0 b1 | b2 b3 | b4 b5
    W' = 3, A' = 1      b0 b1 --  | b2 b3 --  | b4 b5 --
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from flipbook.data.epochs.packing import PackedBatches, filler_of

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Regrouping:
    """Steps that were made for some processes, and are taken by others.

    Attributes:
        num_processes, accumulation: W and A, for which the batches were made.
        num_processes_now: W', by which they are read.

    Raises:
        ValueError: one of them is below 1.
    """

    num_processes: int
    accumulation: int
    num_processes_now: int

    def __post_init__(self) -> None:
        if min(self.num_processes, self.accumulation, self.num_processes_now) < 1:
            raise ValueError(f"processes and batches of each must be 1 or more, got {self}")

    @property
    def batches_per_step(self) -> int:
        """Of all processes together."""
        return self.num_processes * self.accumulation

    @property
    def accumulation_now(self) -> int:
        """A', the batches of a step that each process reads now."""
        return -(-self.batches_per_step // self.num_processes_now)

    def num_steps(self, num_batches: int) -> int:
        """Return how many steps an epoch of so many batches has."""
        return math.ceil(num_batches / self.batches_per_step)

    def num_padded(self, num_batches: int) -> int:
        """Return how many batches such an epoch has with the fillers."""
        full, rest = divmod(num_batches, self.batches_per_step)
        return self.num_processes_now * (
            full * self.accumulation_now + math.ceil(rest / self.num_processes_now)
        )

    def apply(self, batches: Sequence[ItemT], *, filler: ItemT) -> list[ItemT]:
        """Return the batches of an epoch, in their order, with fillers at the end of steps."""
        width, size = self.num_processes_now, self.batches_per_step
        found: list[ItemT] = []
        for start in range(0, len(batches), size):
            step = batches[start : start + size]
            is_full = len(step) == size
            wanted = width * self.accumulation_now if is_full else -(-len(step) // width) * width
            found += [*step, *[filler] * (wanted - len(step))]
        return found


class RegroupedBatches(PackedBatches):
    """Batches that were packed for some processes, to be read by others in the same steps.

    Args:
        packed: for the processes of before.
        regrouping: from these to those of now.
    """

    def __init__(self, packed: PackedBatches, regrouping: Regrouping) -> None:
        vars(self).update(vars(packed))  # the same units, order and mixture
        self._packed = packed
        self._regrouping = regrouping
        self._num_batches = regrouping.num_padded(len(packed))
        self.num_processes = regrouping.num_processes_now

    def batches(self, epoch: int) -> list[list[int]]:
        """Return the units of each batch of an epoch; a filler as the `filler_of` its unit."""
        filler = [filler_of(int(self.units.num_tokens.argmin()))]
        return self._regrouping.apply(self._packed.batches(epoch), filler=filler)

    @property
    def num_packed(self) -> int:
        """How many of them an epoch has without these fillers."""
        return len(self._packed)

    @property
    def share_of_fillers(self) -> float:
        """How much of the processes' time goes into fillers that were not there before, 0 to 1."""
        return 1 - len(self._packed) / len(self)
