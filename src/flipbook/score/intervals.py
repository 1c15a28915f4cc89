"""How sure can one be of a number that was measured on some videos?

    Measure, the video of each question  ->  Estimate: value, 95 % interval
    two Measures of the same questions   ->  Difference: value, 95 % interval, p-value

Questions about one video are alike, so whole videos (clusters) are drawn again, never single
questions: a hundred questions about three videos are three videos.

    videos    a a a  b b  c        drawn again    b b  a a a  b b
    stats     . . .  . .  .   ->   sums of b, a, b   ->   combine   ->   one of 2,000 values

The interval holds the middle 95 % of these values. A fixed seed draws, and sums are made so that
they are exact in any order: equal answers give equal digits on every machine.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentiles);
Field and Welsh, "Bootstrapping clustered data", JRSS B 2007 (drawing clusters).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flipbook.score.draws import drawn_sums, exact, places_of, portions, sums_of_clusters
from flipbook.score.measure import FloatArray, Measure, ratio

NUM_DRAWS = 2000
NUM_FLIPS = 10_000
MOST_ENUMERATED = 12  # videos on which two models differ; 2^12 ways to swap are all tried
_SAME = 1e-12  # values that differ by less are equal: what they are sums of was rounded

Prior = Callable[[np.random.Generator, float, int, int], FloatArray]


@dataclass(frozen=True)
class Estimate:
    """A value, and where the truth may lie.

    Attributes:
        value: of all questions together.
        low, high: ends of the 95 % interval, which holds `value`; NaN where none can be told.
        num_questions, num_clusters: what it rests on.
    """

    value: float
    low: float
    high: float
    num_questions: int
    num_clusters: int

    def as_dict(self) -> dict[str, float]:
        """Return `value`, and `low` and `high` where they can be told."""
        return _finite({"value": self.value, "low": self.low, "high": self.high})


@dataclass(frozen=True)
class Difference:
    """By how much a first value is above a second one on the same questions.

    Attributes:
        value: first minus second.
        low, high: ends of the 95 % interval, which holds `value`; NaN where none can be told.
        p_value: how often answers that owe nothing to the model would differ as much, two-sided.
        num_questions, num_clusters: what it rests on.
    """

    value: float
    low: float
    high: float
    p_value: float
    num_questions: int
    num_clusters: int

    def as_dict(self) -> dict[str, float]:
        """Return `value`, `low` and `high` where they can be told, and `p_value`."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return _finite({**ends, "p_value": self.p_value})


def estimate(
    measure: Measure, clusters: Sequence[str], *, seed: int = 0, num_draws: int = NUM_DRAWS
) -> Estimate:
    """Return the value of a measure with its 95 % interval.

    Draws of ten right answers of ten are all alike, and so are draws of a single video; taken at
    their word they would claim certainty. What cannot vary is drawn from its Beta posterior with
    Jeffreys' prior instead, each video counting as one answer: ten of ten gives 0.78 to 1. Only
    values between 0 and 1 have one; of others the interval is NaN then.

    Args:
        clusters: the video of each question; questions about one share chance.

    Raises:
        ValueError: there is not one cluster for each question, or the measure says nothing.

    Source: Brown, Cai and DasGupta, "Interval Estimation for a Binomial Proportion", 2001.
    """
    value = _told(measure)
    places, num_clusters = places_of(clusters, len(measure.stats))
    prior = _share if measure.in_unit_range else None
    low, high = _interval(
        measure, places, prior=prior, rng=np.random.default_rng(seed), num_draws=num_draws
    )
    return Estimate(value, low, high, len(measure.stats), num_clusters)


def difference(
    first: Measure,
    second: Measure,
    clusters: Sequence[str],
    *,
    seed: int = 0,
    num_draws: int = NUM_DRAWS,
) -> Difference:
    """Return how far the first measure is above the second, of the same questions in one order.

    Both are drawn with the same videos. The p-value is that of a permutation test: if the models
    are alike, the two answers to the questions about a video may change places. All ways to do so
    are tried for up to 12 videos on which they differ, else 10,000 drawn ones. Five such videos
    give 2/32 at best: too few for any claim at 0.05.

    Where the difference cannot vary between draws it is drawn from the posterior of gaining, losing
    and staying equal, with Jeffreys' prior.

    Args:
        clusters: the video of each question.

    Raises:
        ValueError: the measures differ in shape, there is not one cluster for each question, or a
            measure says nothing.

    Source: Ernst, "Permutation Methods", 2004; Phipson and Smyth, "Permutation P-values Should
    Never Be Zero", 2010.
    """
    if first.stats.shape != second.stats.shape:
        raise ValueError(f"stats {first.stats.shape} and {second.stats.shape} cannot be paired")
    value = _told(first) - _told(second)
    places, num_clusters = places_of(clusters, len(first.stats))
    rng = np.random.default_rng(seed)
    prior = _gain if first.in_unit_range and second.in_unit_range else None
    low, high = _interval(
        _subtracted(first, second), places, prior=prior, rng=rng, num_draws=num_draws
    )
    p_value = _p_value(first, second, places, rng=rng)
    return Difference(value, low, high, p_value, len(first.stats), num_clusters)


def mean_of_ratios(sums: FloatArray) -> FloatArray:
    """Return the mean of ratios of pairs, (..., 2 * T) -> (...), over those that are no 0 / 0."""
    pairs = sums.reshape(*sums.shape[:-1], -1, 2)  # (..., T, 2)
    told = pairs[..., 1] > 0
    values = np.where(told, pairs[..., 0], 0.0) / np.where(told, pairs[..., 1], 1.0)
    return ratio(np.stack([values.sum(axis=-1), told.sum(axis=-1)], axis=-1))


_MEANS = (ratio, mean_of_ratios)  # their sums are pairs: of values, and how many


def _told(measure: Measure) -> float:
    value = measure.value
    if math.isnan(value):
        raise ValueError("the measure says nothing about these questions")
    return value


def _subtracted(first: Measure, second: Measure) -> Measure:
    """Return the difference of two measures of the same shape as one measure."""
    width = first.stats.shape[1]
    are_means = first.combine is second.combine and first.combine in _MEANS
    if are_means and np.array_equal(first.stats[:, 1::2], second.stats[:, 1::2]):
        # A mean of differences, whose parts can be told apart.
        stats = first.stats.copy()
        stats[:, ::2] -= second.stats[:, ::2]
        return Measure(stats, first.combine)
    return Measure(
        np.hstack([first.stats, second.stats]),
        lambda sums: first.combine(sums[..., :width]) - second.combine(sums[..., width:]),
    )


def _interval(
    measure: Measure,
    places: NDArray[np.int64],
    *,
    prior: Prior | None,
    rng: np.random.Generator,
    num_draws: int,
) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a measure; NaN where draws cannot vary."""
    sums = exact(sums_of_clusters(measure.stats, places))
    fixed = _fixed_parts(measure, sums) if prior is not None else {}
    pieces = []
    for drawn in drawn_sums(sums, rng, num_draws):
        for part, (value, count) in fixed.items():
            if prior is not None:
                drawn[:, 2 * part] = drawn[:, 2 * part + 1] * prior(rng, value, count, len(drawn))
        pieces.append(measure.combine(drawn))
    values = np.concatenate(pieces)
    values = values[np.isfinite(values)]
    if not len(values) or np.ptp(values) < _SAME:
        if prior is None:
            return math.nan, math.nan
        values = prior(rng, measure.value, len(sums), num_draws)
    low, high = np.quantile(values, [0.025, 0.975])
    return min(float(low), measure.value), max(float(high), measure.value)


def _fixed_parts(measure: Measure, sums: FloatArray) -> dict[int, tuple[float, int]]:
    """Return the parts of a mean that are the same in every draw: value, number of clusters."""
    if measure.combine not in _MEANS:
        return {}
    fixed = {}
    for part in range(sums.shape[1] // 2):
        told = sums[sums[:, 2 * part + 1] > 0, 2 * part : 2 * part + 2]
        values = ratio(told)
        if len(values) and np.ptp(values) < _SAME:
            fixed[part] = (float(values[0]), len(values))
    return fixed


def _share(rng: np.random.Generator, value: float, count: int, num_draws: int) -> FloatArray:
    """Return draws of a share that was `value` in each of `count` clusters, (num_draws,)."""
    right = min(max(value, 0.0), 1.0) * count
    return rng.beta(right + 0.5, count - right + 0.5, size=num_draws)


def _gain(rng: np.random.Generator, value: float, count: int, num_draws: int) -> FloatArray:
    """Return draws of a difference that was `value` in each of `count` clusters, (num_draws,)."""
    gained, lost = max(value, 0.0) * count, max(-value, 0.0) * count
    equal = max(count - gained - lost, 0.0)
    shares = rng.dirichlet([gained + 0.5, lost + 0.5, equal + 0.5], size=num_draws)
    gains: FloatArray = shares[:, 0] - shares[:, 1]
    return gains


def _p_value(
    first: Measure, second: Measure, places: NDArray[np.int64], *, rng: np.random.Generator
) -> float:
    """Return how often models that change places at random differ as much as these do."""
    both = exact(
        np.vstack([sums_of_clusters(first.stats, places), sums_of_clusters(second.stats, places)])
    )
    own, others = np.split(both, 2)  # each (C, K)
    change = others - own
    change = change[change.any(axis=1)]
    total, total_of_other = own.sum(axis=0), others.sum(axis=0)

    def as_far(swapped: FloatArray) -> int:
        moved = swapped @ change
        apart = first.combine(total + moved) - second.combine(total_of_other - moved)
        # What says nothing any more (NaN) counts as far: it is no evidence against chance.
        return int(np.count_nonzero(~(np.abs(apart) < seen - _SAME)))

    seen = abs(first.value - second.value)
    if len(change) <= MOST_ENUMERATED:
        ways = np.arange(2 ** len(change))[:, None] >> np.arange(len(change)) & 1
        return as_far(ways.astype(np.float64)) / len(ways)
    num_far = sum(
        as_far(rng.integers(2, size=(number, len(change))).astype(np.float64))
        for number in portions(NUM_FLIPS, max(change.shape))
    )
    return (num_far + 1) / (NUM_FLIPS + 1)


def _finite(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}
