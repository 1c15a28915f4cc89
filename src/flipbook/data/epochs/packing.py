"""Which conversations share a pass, and which samples share a batch?

    clips, lengths -> Units: conversations about one clip, together
    Units, (seed, epoch) -> batches: lists of units, the same number of them in every epoch

All is a pure function of its arguments, so a run that goes on where it stopped sees what it would
have seen. Every unit is in exactly one batch of an epoch; nothing is dropped and nothing is learned
twice. Where processes outnumber what is left, some get a filler, of which nothing is learned.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flipbook.data.epochs.mixing import Mixture
from flipbook.data.labels.joining import joined_length
from flipbook.errors import ArgumentError

IntArray = NDArray[np.int64]
MAX_OPEN_BATCHES = 256  # among which the place of the next unit is looked for
UNITS_STREAM, ORDER_STREAM, STEPS_STREAM = 1, 2, 3  # independent random numbers from one seed


@dataclass(frozen=True)
class Units:
    """Conversations in groups that are read in one sequence.

    `members` holds all of them; those of group i are `members[starts[i]:starts[i + 1]]`.
    `num_tokens` is the length of each group's sequence, `num_alone` that of its conversations each
    for itself.
    """

    members: IntArray
    starts: IntArray
    num_tokens: IntArray
    num_alone: IntArray

    def __len__(self) -> int:
        return len(self.num_tokens)

    def __getitem__(self, unit: int) -> tuple[int, ...]:
        return tuple(self.members[self.starts[unit] : self.starts[unit + 1]].tolist())

    @property
    def num_conversations(self) -> IntArray:
        """In each unit."""
        return np.diff(self.starts)


def make_units(
    *,
    clips: NDArray[np.integer],
    num_tokens: NDArray[np.integer],
    head_tokens: NDArray[np.integer],
    max_conversations: int,
    max_tokens: int | None = None,
    seed: int | None = None,
) -> Units:
    """Return the conversations of each clip together, as many as may be and evenly divided.

    9 conversations about a clip, at most 8 at a time  ->  units of 5 and 4

    Args:
        clips: equal numbers mean equal clips behind equal words.
        num_tokens: length of each conversation alone.
        head_tokens: what it can share with others of its clip; with 0 it is a unit of its own.
        max_conversations: of a unit, 1 or more.
        max_tokens: of a unit's sequence; a longer conversation is a unit of its own.
        seed: which conversations of a clip come together; None takes them in their order.
    """
    rng = None if seed is None else np.random.default_rng([seed, UNITS_STREAM])
    keys = np.where(head_tokens > 0, clips, clips.max(initial=0) + 1 + np.arange(len(clips)))
    _, first, group_of = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first[group_of], kind="stable")  # clips as they first appear
    bounds = np.flatnonzero(np.diff(first[group_of][order], prepend=-1))
    members: list[IntArray] = []
    starts, lengths, alone = [0], [], []
    for start, stop in pairwise([*bounds.tolist(), len(order)]):
        group = order[start:stop]
        if rng is not None and len(group) > max_conversations:
            group = rng.permutation(group)
        head = int(head_tokens[group[0]])
        for part in _even_parts(group, max_conversations):
            for unit in _within(part, num_tokens, head, max_tokens):
                members.append(unit)
                starts.append(starts[-1] + len(unit))
                lengths.append(joined_length(num_tokens[unit].tolist(), head_tokens=head))
                alone.append(int(num_tokens[unit].sum()))
    empty = np.zeros(0, dtype=np.int64)
    return Units(
        np.concatenate(members).astype(np.int64) if members else empty,
        np.array(starts, dtype=np.int64),
        np.array(lengths, dtype=np.int64),
        np.array(alone, dtype=np.int64),
    )


class PackedBatches:
    """The batches of each epoch, as lists of tuples of conversations.

    Process r of W takes batches r, r + W, r + 2W, ...; the W batches of a step are of about equal
    length. There are as many batches in each epoch. A filler's numbers are negative: `filler_of`.

    Args:
        units: what is packed.
        max_conversations: of a batch; or
        max_tokens: of a batch.
        num_processes: W; the number of batches is a multiple of it.
        seed: of the order; None keeps that of the units as far as packing allows.
        mixture: how often each unit is seen in each epoch; once if not given.
        num_epochs: of the run; where epochs of a mixture differ, all have the batches of the
            longest.
        epoch_of: tells whose batches are yielded.

    Raises:
        ArgumentError: a unit does not fit into a batch.
    """

    def __init__(
        self,
        units: Units,
        *,
        max_conversations: int | None = None,
        max_tokens: int | None = None,
        num_processes: int = 1,
        seed: int | None = None,
        mixture: Mixture | None = None,
        num_epochs: int = 1,
        epoch_of: Callable[[], int] = int,
    ) -> None:
        if (max_conversations is None) == (max_tokens is None):
            raise ValueError("give either max_conversations or max_tokens")
        self.units = units
        self.num_processes = num_processes
        self.seed = seed
        self.mixture = None if mixture is None or mixture.is_plain else mixture
        self._epoch_of = epoch_of
        self._sizes = units.num_conversations if max_tokens is None else units.num_tokens
        self._capacity = int(max_conversations if max_tokens is None else max_tokens)  # type: ignore[arg-type]
        if max_tokens is not None and int(self._sizes.max()) > max_tokens:
            raise ArgumentError(
                f"--max_batch_tokens {max_tokens}: one conversation alone has "
                f"{int(self._sizes.max())} tokens. Raise it to that at least, or take fewer or "
                "smaller frames."
            )
        fewest = max(map(self._fewest, range(1 if self.is_alike else num_epochs)))
        self._num_batches = -(-fewest // num_processes) * num_processes

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        for batch in self.batches(self._epoch_of()):
            yield [self._conversations(unit) for unit in batch]

    def batches(self, epoch: int) -> list[list[int]]:
        """Return the units of each batch of an epoch; a filler as the `filler_of` its unit."""
        packed = self._pack(self._order(epoch))
        if len(packed) == self._num_batches and self.num_processes == 1:
            return packed  # already in an order of its own, the same for 4 x 1 as for 1 x 4
        if len(packed) > self._num_batches:
            packed = self._pack_tightly(epoch)
        return self._balanced(self._split(packed), epoch)

    @property
    def is_alike(self) -> bool:
        """Whether all epochs have the same units."""
        return self.mixture is None or self.mixture.is_alike

    def _fewest(self, epoch: int) -> int:
        """Return how many batches an epoch needs, in whatever way it is packed."""
        return max(len(self._pack_tightly(epoch)), len(self._pack(self._order(epoch))))

    def units_of(self, epoch: int) -> IntArray:
        """Return the units that are seen in an epoch, in rising order."""
        return np.arange(len(self.units)) if self.mixture is None else self.mixture.units(epoch)

    @property
    def filling(self) -> float:
        """How full the batches of the first epoch are, 0 to 1."""
        return float(self._sizes[self.units_of(0)].sum()) / (self._num_batches * self._capacity)

    @property
    def longest_tokens(self) -> int:
        """Length of the longest batch of the first epoch."""
        return max(int(self.units.num_tokens[batch].sum()) for batch in self.batches(0))

    @property
    def most_units(self) -> int:
        """No batch has more units than this."""
        return max(1, self._capacity // max(1, int(self._sizes.min())))

    def _conversations(self, unit: int) -> tuple[int, ...]:
        if unit >= 0:
            return self.units[unit]
        return tuple(filler_of(member) for member in self.units[filler_of(unit)])

    def _rng(self, stream: int, epoch: int) -> np.random.Generator | None:
        return None if self.seed is None else np.random.default_rng([self.seed, stream, epoch])

    def _order(self, epoch: int) -> IntArray:
        rng, units = self._rng(ORDER_STREAM, epoch), self.units_of(epoch)
        return units if rng is None else units[rng.permutation(len(units))]

    def _pack_tightly(self, epoch: int = 0) -> list[list[int]]:
        """Pack the longest first. Its number of batches depends on the lengths alone."""
        order = self._order(epoch)
        return self._pack(order[np.argsort(-self._sizes[order], kind="stable")])

    def _pack(self, order: IntArray) -> list[list[int]]:
        """Put each unit into the open batch in which it leaves the least room.

        Source: best fit, with a bound on the number of open bins (Johnson, "Fast algorithms for
        bin packing", 1974).
        """
        done: list[list[int]] = []
        open_batches: list[tuple[int, int, list[int]]] = []  # room left, when it was opened, units
        for number, (unit, size) in enumerate(
            zip(order.tolist(), self._sizes[order].tolist(), strict=True)
        ):
            place = bisect_left(open_batches, (size,))
            room, opened, units = (
                open_batches.pop(place)
                if place < len(open_batches)
                else (self._capacity, number, [])
            )
            units.append(unit)
            if room == size:
                done.append(units)
                continue
            insort(open_batches, (room - size, opened, units))
            if len(open_batches) > MAX_OPEN_BATCHES:
                done.append(open_batches.pop(0)[2])
        return done + [units for _, _, units in open_batches]

    def _split(self, packed: list[list[int]]) -> list[list[int]]:
        """Return as many batches as in every epoch, longest first.

        The fullest are divided; where none can be, fillers of the shortest unit follow.
        """
        by_length = sorted(packed, key=self._longest_first)
        while len(by_length) < self._num_batches:
            place = next((n for n, units in enumerate(by_length) if len(units) > 1), None)
            if place is None:
                filler = filler_of(int(self.units.num_tokens.argmin()))
                return by_length + [[filler]] * (self._num_batches - len(by_length))
            largest = by_length.pop(place)
            half = len(largest) // 2
            insort(by_length, largest[:half], key=self._longest_first)
            insort(by_length, largest[half:], key=self._longest_first)
        return by_length

    def _balanced(self, by_length: list[list[int]], epoch: int) -> list[list[int]]:
        """Put batches of about equal length side by side, and these steps in a random order."""
        rng = self._rng(STEPS_STREAM, epoch)
        width = self.num_processes
        steps = [by_length[start : start + width] for start in range(0, len(by_length), width)]
        if rng is None:
            return [batch for step in steps for batch in step]
        return [
            steps[number][place]
            for number in rng.permutation(len(steps))
            for place in rng.permutation(width)
        ]

    def _longest_first(self, units: list[int]) -> tuple[int, list[int]]:
        return -int(self.units.num_tokens[np.asarray(units)].sum()), units


def filler_of(number: int) -> int:
    """Return the negative number that stands for a unit or a conversation without its labels.

    0 -> -1, 1 -> -2, and back again.
    """
    return -1 - number


def _even_parts(group: IntArray, most: int) -> list[IntArray]:
    if len(group) <= most:
        return [group]
    return np.array_split(group, -(-len(group) // most))


def _within(
    part: IntArray, num_tokens: NDArray[np.integer], head: int, most: int | None
) -> list[IntArray]:
    """Divide a part in two until each is short enough, or has one conversation."""
    length = joined_length(num_tokens[part].tolist(), head_tokens=head)
    if most is None or length <= most or len(part) == 1:
        return [part]
    half = len(part) // 2
    return _within(part[:half], num_tokens, head, most) + _within(
        part[half:], num_tokens, head, most
    )
