"""How near are many texts to the right ones, taken together?

    answers, their references  ->  BLEU-4, chrF as Measures: counts of each question, summed

The counts are sacrebleu's, the usual words and characters with them; the formulas here are made of
sums over whole arrays, so that thousands of draws of the same questions cost little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from flipbook.score.measure import FloatArray, Measure

NUM_ORDERS = 4  # of BLEU: n-grams of 1 to 4 words
BETA = 2  # of chrF: how much more recall weighs than precision


def bleu_4(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    """Return BLEU of 1 to 4 words, 0 to 1: sacrebleu's corpus BLEU over 100.

    Case counts, words are those of mteval-v13a, and counts of 0 are smoothed exponentially. Of
    several references, counts are clipped by the highest, and the nearest in length counts.

    Raises:
        ValueError: an answer has no reference, or there is none.

    Source: Papineni et al., "BLEU: a method for automatic evaluation of machine translation", 2002;
    Post, "A call for clarity in reporting BLEU scores", 2018.
    """
    return Measure(_counts(BLEU(force=True), answers, references), _bleu_of)


def chrf(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    """Return chrF, the F-score of 1 to 6 characters, 0 to 1: sacrebleu's over 100.

    Of several references, the one that is nearest counts.

    Raises:
        ValueError: an answer has no reference, or there is none.

    Source: Popović, "chrF: character n-gram F-score for automatic MT evaluation", 2015.
    """
    return Measure(_counts(CHRF(beta=BETA), answers, references), _chrf_of)


def _counts(metric: Any, answers: Sequence[str], references: Sequence[Sequence[str]]) -> FloatArray:
    """Return sacrebleu's counts of each answer, (N, K)."""
    if len(answers) != len(references) or not all(references):
        raise ValueError(
            f"{len(answers)} answers need as many lists of references, none of them empty; "
            f"got lists of {[len(texts) for texts in references]}"
        )
    most = max((len(texts) for texts in references), default=0)
    # sacrebleu wants the first references of all answers, then the second ones; None where one
    # answer has fewer than another. A test holds these counts to its public score.
    streams = [
        [texts[place] if place < len(texts) else None for texts in references]
        for place in range(most)
    ]
    counts = metric._extract_corpus_statistics(answers, streams) if answers else np.zeros((0, 0))
    return np.array(counts, dtype=np.float64)


def _bleu_of(sums: FloatArray) -> FloatArray:
    """Return BLEU of summed counts (..., 2 + 2 x 4) -> (...): lengths, matches, n-grams."""
    said, right = sums[..., 0], sums[..., 1]
    matches, totals = sums[..., 2 : 2 + NUM_ORDERS], sums[..., 2 + NUM_ORDERS :]
    is_missed = (matches == 0) & (totals > 0)
    smoothed = np.where(is_missed, 0.5 ** np.cumsum(is_missed, axis=-1), matches)
    with np.errstate(invalid="ignore", divide="ignore"):
        precisions = np.where(totals > 0, smoothed / totals, 0.0)
        brevity = np.where(said < right, np.exp(1 - right / said), 1.0)
        values = brevity * np.exp(np.log(precisions).mean(axis=-1))
    scores: FloatArray = np.where(matches.any(axis=-1), values, 0.0)
    return scores


def _chrf_of(sums: FloatArray) -> FloatArray:
    """Return chrF of summed counts (..., 3 x 6) -> (...): n-grams said, right, and in both."""
    said, right, both = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    is_counted = (said > 0) & (right > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(is_counted, both / said, 0.0).sum(axis=-1)
        recall = np.where(is_counted, both / right, 0.0).sum(axis=-1)
        # Both are to be divided by the number of orders counted: of the quotient it leaves one.
        num_orders = is_counted.sum(axis=-1)
        values = (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall) / num_orders
    scores: FloatArray = np.where(precision + recall > 0, values, 0.0)
    return scores
