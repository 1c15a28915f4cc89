"""What would the sums behind a measure be on other videos of the same kind?

    stats (N, K), the cluster of each question  ->  sums of clusters (C, K)  ->  of draws (n, K)

To sum is a product of matrices, which adds in an order of its own on every machine; sums are
therefore rounded first so that their order does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from flipbook.score.measure import FloatArray

MAX_HELD = 2**22  # numbers of one array of draws, 32 MiB


def places_of(clusters: Sequence[str], num_questions: int) -> tuple[NDArray[np.int64], int]:
    """Return the place of each question's cluster, int64 (N,), and how many clusters there are.

    Places are in order of first appearance.

    Raises:
        ValueError: there is not one cluster for each question.
    """
    if len(clusters) != num_questions:
        raise ValueError(f"{len(clusters)} clusters for {num_questions} questions")
    order = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    return np.array([order[name] for name in clusters], dtype=np.int64), len(order)


def drawn_sums(sums: FloatArray, rng: np.random.Generator, num_draws: int) -> Iterator[FloatArray]:
    """Yield sums (n, K) over as many clusters as there are, drawn with replacement."""
    num_clusters = len(sums)
    for number in portions(num_draws, max(sums.shape)):
        drawn = rng.integers(num_clusters, size=(number, num_clusters))
        drawn += np.arange(number)[:, None] * num_clusters
        weights = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        yield weights.astype(np.float64) @ sums


def portions(num_draws: int, width: int) -> Iterator[int]:
    """Yield numbers of draws whose arrays fit in memory, `num_draws` together."""
    at_once = max(MAX_HELD // width, 1)
    for start in range(0, num_draws, at_once):
        yield min(at_once, num_draws - start)


def sums_of_clusters(stats: FloatArray, places: NDArray[np.int64]) -> FloatArray:
    """Return the sum over the questions of each cluster, (N, K) -> (C, K)."""
    sums = np.zeros((int(places.max()) + 1, stats.shape[1]))
    np.add.at(sums, places, stats)
    return sums


def exact(sums: FloatArray) -> FloatArray:
    """Return sums (C, K) rounded so that adding C of them, in whatever order, rounds no more.

    Each becomes a whole number of steps, and the largest total has less than 2^52 steps. Counts and
    other whole numbers stay as they are.
    """
    _, exponents = np.frexp(np.abs(sums).max(axis=0) * len(sums))
    steps = np.ldexp(1.0, exponents - 52)
    return np.asarray(np.round(sums / steps) * steps)
