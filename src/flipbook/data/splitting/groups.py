"""Which rows belong together, and which split does each such group go to?

    rows, what each shows or names  ->  groups: rows that share anything, also over others
    sizes of groups by stratum      ->  a split for each: its share of every stratum, as well as
                                        whole groups allow

    row 0 shows a.mp4           a.mp4 - row 0
    row 1 shows a.mp4, b.mp4    a.mp4 - row 1 - b.mp4        rows 0, 1 and 2 are one group
    row 2 shows b.mp4           b.mp4 - row 2

Arrays of numbers only, so a million rows need little memory. The order of the rows does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from flipbook.errors import ArgumentError

IntArray = NDArray[np.int64]
KeyArray = NDArray[np.uint64]

NOT_KEPT = -1
TRAIN = 0
_ROUNDING = 1e-6  # of a record: shares are products of decimals


@dataclass(frozen=True)
class Groups:
    """Rows that must not be divided.

    Attributes:
        numbers: int64 (N,), the group of each row, dense from 0.
        keys: uint64 (G,), a name of each group that is the same in whichever order rows come.
    """

    numbers: IntArray
    keys: KeyArray


@dataclass(frozen=True)
class Placement:
    """Where groups went.

    Attributes:
        splits: int64 (G,), the number of the split of each group.
        too_large: groups of several records that are more than the share of a split.
        moved: groups taken from a larger split because another one was left empty.
    """

    splits: IntArray
    too_large: tuple[int, ...]
    moved: tuple[int, ...]


def join_rows(num_rows: int, *, edge_rows: IntArray, edge_keys: KeyArray) -> Groups:
    """Return the groups of rows that are joined by equal keys, also over other rows.

    Args:
        edge_rows, edge_keys: (E,), a row and the hash of what it shows or names; each row has at
            least one.
    """
    order = np.lexsort((edge_rows, edge_keys))
    rows, keys = edge_rows[order].tolist(), edge_keys[order].tolist()
    parents = list(range(num_rows))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for place, (row, other) in enumerate(pairwise(rows)):
        if keys[place] == keys[place + 1]:
            parents[root(row)] = root(other)
    roots = np.fromiter((root(row) for row in range(num_rows)), dtype=np.int64, count=num_rows)
    _, numbers = np.unique(roots, return_inverse=True)
    group_keys = np.full(int(numbers.max(initial=-1)) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(group_keys, numbers[edge_rows], edge_keys)
    return Groups(numbers.astype(np.int64), group_keys)


def place_groups(
    groups: Groups,
    *,
    strata: IntArray,
    kept: IntArray,
    fractions: Sequence[float],
    names: Sequence[str],
    seed: int,
) -> Placement:
    """Return a split for each group.

    Groups are placed from the largest to the smallest, equal ones in an order that the seed draws.
    Each goes where the most of its records find a place: a stratum of a split has as many as its
    fraction of that stratum. Of splits that are equal in that, the one takes it that lacks the
    largest part of its records.

    Args:
        groups: from `join_rows`.
        strata: int64 (N,), the stratum of each row.
        kept: int64 (G,), the split that a group has already, or `NOT_KEPT`.
        fractions: of each split; one of 0 is not asked for.
        names: of the splits, for messages.
        seed: decides with the keys of the groups.

    Raises:
        ArgumentError: there are fewer groups than splits asked for.
    """
    num_groups = len(groups.keys)
    asked = [split for split, fraction in enumerate(fractions) if fraction > 0]
    sizes = np.bincount(groups.numbers, minlength=num_groups)
    ledger = _Ledger(strata, fractions)
    contents = _contents(groups.numbers, strata, num_groups)
    order = np.lexsort((_drawn(groups.keys, seed), -sizes)).tolist()
    splits = kept.astype(np.int64).copy()
    for group in np.flatnonzero(kept >= 0).tolist():
        ledger.place(contents[group], int(splits[group]))
    too_large = []
    for group in order:
        if splits[group] >= 0:
            continue
        fitting = [split for split in asked if ledger.has_share(split, int(sizes[group]))]
        if len(fitting) < len(asked) and sizes[group] > 1:
            too_large.append(group)
        only = [TRAIN if TRAIN in asked else max(asked, key=lambda split: fractions[split])]
        splits[group] = ledger.best(contents[group], fitting or only)
        ledger.place(contents[group], int(splits[group]))
    moved = _fill_empty(splits, order, kept=kept, asked=asked, names=names)
    return Placement(splits, tuple(too_large), moved)


class _Ledger:
    """How many records of each stratum are wanted in each split, and how many are there."""

    def __init__(self, strata: IntArray, fractions: Sequence[float]) -> None:
        counts = np.bincount(strata)
        self._wanted = [(counts * fraction).tolist() for fraction in fractions]
        self._placed = [[0] * len(counts) for _ in fractions]
        self._share = [len(strata) * fraction for fraction in fractions]
        self._total = [0] * len(fractions)

    def has_share(self, split: int, size: int) -> bool:
        return size <= self._share[split] + _ROUNDING

    def place(self, content: Sequence[tuple[int, int]], split: int) -> None:
        for stratum, count in content:
            self._placed[split][stratum] += count
            self._total[split] += count

    def best(self, content: Sequence[tuple[int, int]], splits: Sequence[int]) -> int:
        return max(splits, key=lambda split: (self._room(content, split), self._lack(split)))

    def _room(self, content: Sequence[tuple[int, int]], split: int) -> int:
        """Return how well a split can take a group: 2 for each record that is wanted, 1 for each
        of a stratum that is wanted in part."""
        wanted, placed = self._wanted[split], self._placed[split]
        room = 0
        for stratum, count in content:
            missing = wanted[stratum] - placed[stratum]
            room += count * (2 if count <= missing + _ROUNDING else missing > _ROUNDING)
        return room

    def _lack(self, split: int) -> float:
        return 1 - self._total[split] / self._share[split]


def _contents(
    numbers: IntArray, strata: IntArray, num_groups: int
) -> list[tuple[tuple[int, int], ...]]:
    """Return of each group its strata with their counts of records."""
    num_strata = int(strata.max(initial=0)) + 1
    pairs, counts = np.unique(numbers * num_strata + strata, return_counts=True)
    found: list[list[tuple[int, int]]] = [[] for _ in range(num_groups)]
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        found[pair // num_strata].append((pair % num_strata, count))
    return [tuple(content) for content in found]


def _drawn(keys: KeyArray, seed: int) -> KeyArray:
    """Return a number for each group that depends on the seed and on its key alone."""
    words: Iterator[int] = (xxh3_64_intdigest(f"{seed} {key}".encode()) for key in keys.tolist())
    return np.fromiter(words, dtype=np.uint64, count=len(keys))


def _fill_empty(
    splits: IntArray,
    order: Sequence[int],
    *,
    kept: IntArray,
    asked: Sequence[int],
    names: Sequence[str],
) -> tuple[int, ...]:
    """Give each split that was left empty the smallest group of the fullest one."""
    moved = []
    for split in asked:
        if (splits == split).any():
            continue
        counts = np.bincount(splits, minlength=len(names))
        spare = [group for group in order if kept[group] < 0 and counts[splits[group]] > 1]
        if not spare:
            raise ArgumentError(
                f"there are {_counted(len(splits))}, too few to fill "
                f"{', '.join(names[number] for number in asked)}: records that share a clip or a "
                "group stay together. Give a split the fraction 0 to leave it out."
            )
        fullest = max((int(splits[group]) for group in spare), key=lambda split: counts[split])
        taken = [group for group in spare if splits[group] == fullest][-1]
        splits[taken] = split
        moved.append(taken)
    return tuple(moved)


def _counted(num_groups: int) -> str:
    return f"{num_groups} group{'' if num_groups == 1 else 's'}"
