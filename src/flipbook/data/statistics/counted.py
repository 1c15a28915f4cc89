"""Which texts come again, and how are numbers spread?

    texts, one at a time    ->  CountedTexts: how many, how many different, the most frequent
    [1, 1, 3, 9, 12] words  ->  Spread: 1 | 2, 2 to 4 | 1, 8 to 16 | 2, and least, median, most

A text that comes once is remembered by its hash alone.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flipbook.data.record_ids import text_hash


class CountedText(NamedTuple):
    """A text and how often it came."""

    text: str
    times: int


class CountedTexts:
    """Counts texts that are equal but for case and spaces at their ends."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._texts: dict[int, str] = {}
        self._first = ""
        self.total = 0

    def add(self, text: str) -> None:
        """Count a text."""
        text = text.strip()
        key = text_hash(text.casefold())
        self.total += 1
        self._counts[key] += 1
        if self._counts[key] == 2:
            self._texts[key] = text
        self._first = self._first or text

    @property
    def num_different(self) -> int:
        """How many different ones came."""
        return len(self._counts)

    @property
    def repeated(self) -> list[str]:
        """Texts that came more than once."""
        return list(self._texts.values())

    def most_frequent(self, number: int) -> tuple[CountedText, ...]:
        """Return the texts that came most often, of those that came more than once.

        A text that is the only one is among them though it came once.
        """
        if self.total == 1:
            return (CountedText(self._first, 1),)
        found = [CountedText(text, self._counts[key]) for key, text in self._texts.items()]
        return tuple(sorted(found, key=lambda counted: (-counted.times, counted.text))[:number])


class Bin(NamedTuple):
    """How many numbers are from `start` on and below `end`."""

    start: float
    end: float
    number: int


@dataclass(frozen=True)
class Spread:
    """How numbers are spread.

    Attributes:
        bins: each twice as wide as the one before; without empty ones at either end.
    """

    least: float
    median: float
    mean: float
    most: float
    bins: tuple[Bin, ...]


def spread_of(values: Sequence[float] | array[float]) -> Spread | None:
    """Return how some numbers from 0 on are spread; None where there are none."""
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return None
    most = float(numbers.max())
    edges = [0.0, *(2.0**power for power in range(max(math.frexp(most)[1], 0) + 1))]
    counts = np.histogram(numbers, bins=[*edges, math.inf])[0].tolist()
    ends = [*edges[1:], edges[-1] * 2]
    bins = [Bin(*one) for one in zip(edges, ends, counts, strict=True)]
    filled = [place for place, one in enumerate(bins) if one.number]
    return Spread(
        least=float(numbers.min()),
        median=float(np.median(numbers)),
        mean=float(numbers.mean()),
        most=most,
        bins=tuple(bins[filled[0] : filled[-1] + 1]),
    )


def by_count(counts: Counter[str]) -> dict[str, int]:
    """Return counts, the most frequent first and equally frequent ones by their names."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
