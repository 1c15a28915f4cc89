"""How often is each unit of a mixture seen, and in which epoch?

    group and weight of each unit, seed, epoch -> the units of that epoch, some of them repeatedly

The units of a group are walked through again and again, each time in another order. An epoch takes
the next `weight` rounds of them, or a part of one:

    weight 1.5      epoch 0: round 0, first half of round 1     epoch 1: second half, round 2

So after any number of epochs no unit of a group has been seen more than once more than another.
All is a pure function of the arguments, and knows nothing of processes and workers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from flipbook.errors import ArgumentError

IntArray = NDArray[np.int64]
MIXING_STREAM = 4  # of the random numbers of one seed; see `packing`
_FINEST = 10_000  # weights are taken to this fraction, so that rounds end exactly


@dataclass(frozen=True)
class Mixture:
    """Units in groups, each with a weight.

    Attributes:
        group_of: int64 (U,), the group of each unit, dense from 0.
        weights: of each group, above 0.
        seed: of the orders in which groups are walked through.
    """

    group_of: IntArray
    weights: tuple[float, ...]
    seed: int

    @property
    def is_plain(self) -> bool:
        """Whether every unit is seen once in each epoch."""
        return all(weight == 1 for weight in self.weights)

    @property
    def is_alike(self) -> bool:
        """Whether all epochs have the same units."""
        return all(float(weight).is_integer() for weight in self.weights)

    def units(self, epoch: int) -> IntArray:
        """Return the units of an epoch, int64 (N,), in rising order, group by group."""
        parts = [self._of_group(group, epoch) for group in range(len(self.weights))]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def _of_group(self, group: int, epoch: int) -> IntArray:
        members = np.flatnonzero(self.group_of == group)
        weight = Fraction(self.weights[group]).limit_denominator(_FINEST)
        start = math.floor(epoch * weight * len(members))
        stop = math.floor((epoch + 1) * weight * len(members))
        taken = []
        while start < stop:
            number, place = divmod(start, len(members))
            end = min(len(members), place + stop - start)
            taken.append(members[self._round(group, number, len(members))[place:end]])
            start += end - place
        return np.sort(np.concatenate(taken)) if taken else members[:0]

    def _round(self, group: int, number: int, size: int) -> IntArray:
        if float(self.weights[group]).is_integer():
            return np.arange(size)  # all of it is taken, so its order means nothing
        rng = np.random.default_rng([self.seed, MIXING_STREAM, group, number])
        return rng.permutation(size)


def mix(
    *,
    source_of: IntArray,
    weights: tuple[float, ...],
    is_still: NDArray[np.bool_],
    num_conversations: IntArray,
    image_replay: float | None,
    seed: int,
) -> Mixture:
    """Return the mixture of some units.

    Args:
        source_of: int64 (U,), the data set of each unit.
        weights: of the data sets.
        is_still: bool (U,), the units that show still images and no clip.
        num_conversations: int64 (U,), in each unit.
        image_replay: the share of an epoch's conversations that still images are to have; None
            leaves it to the weights.

    Raises:
        ArgumentError: a share is asked for, and there are no still images, or nothing else.
    """
    keys = source_of * 2 + is_still
    known, group_of = np.unique(keys, return_inverse=True)
    own = np.array([weights[key // 2] for key in known], dtype=np.float64)
    if image_replay is not None:
        groups_are_still = known % 2 == 1
        sizes = own * np.bincount(group_of, weights=num_conversations, minlength=len(known))
        stills, others = sizes[groups_are_still].sum(), sizes[~groups_are_still].sum()
        if not stills or not others:
            missing = "still images" if not stills else "anything but still images"
            raise ArgumentError(
                f"--image_replay {image_replay:g} asks for a share of still images, and the data "
                f"do not hold {missing}. Add records about {'pictures' if not stills else 'clips'} "
                "to --data_path, or leave the flag out."
            )
        own[groups_are_still] *= image_replay / (1 - image_replay) * others / stills
    return Mixture(group_of.astype(np.int64), tuple(own.tolist()), seed)
