"""What does one number about many answers consist of?

    numbers of each question (N, K)  ->  their sum over questions (K,)  ->  the value

A measure is a function of sums, so what it would be on other draws of the same questions costs a
product of matrices:

    a mean      [value, 1]                       sum of values / number
    BLEU        [matches, n-grams, lengths]      BLEU of the sums
    macro F1    [the question's confusion]       F1 of the summed confusion
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Combine = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Measure:
    """One number about some questions, as a function of sums over them.

    Attributes:
        stats: float64 (N, K), of each question.
        combine: sums (..., K) -> values (...); NaN where the sums say nothing.
        in_unit_range: whether a question's value lies between 0 and 1.

    Raises:
        ValueError: `stats` is not (N, K) with N of 1 or more.
    """

    stats: FloatArray
    combine: Combine
    in_unit_range: bool = True

    def __post_init__(self) -> None:
        if self.stats.ndim != 2 or not len(self.stats):
            raise ValueError(f"stats must be (N, K) with N of 1 or more, got {self.stats.shape}")

    @property
    def value(self) -> float:
        """Of all questions together."""
        return float(self.combine(self.stats.sum(axis=0)))


def mean_of(values: Sequence[float | None], *, in_unit_range: bool = True) -> Measure:
    """Return the mean of some values; None is a question that the measure says nothing about.

    Raises:
        ValueError: there are no values.
    """
    stats = [[0.0, 0.0] if value is None else [float(value), 1.0] for value in values]
    return Measure(np.array(stats, dtype=np.float64).reshape(-1, 2), ratio, in_unit_range)


def ratio(sums: FloatArray) -> FloatArray:
    """Return the first of two sums over the second, (..., 2) -> (...); NaN for 0 / 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values: FloatArray = sums[..., 0] / sums[..., 1]
    return values
