"""Is ROUGE-L that of the package rouge-score?"""

from __future__ import annotations

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer

from flipbook.score.metrics.rouge import longest_common, rouge_l

WORDS = [
    "the",
    "a",
    "man",
    "Man",
    "lifts,",
    "box",
    "boxes.",
    "red",
    "left-hand",
    "it's",
    "café",
    "3",
    "_",
    "\n",
    "!",
]


def test_values_are_those_of_rouge_score() -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    rng = np.random.default_rng(1)
    for _ in range(200):
        answer, *references = (
            " ".join(rng.choice(WORDS, size=rng.integers(0, 14))) for _ in range(rng.integers(2, 6))
        )
        wanted = scorer.score_multi(references, answer)["rougeL"].fmeasure
        assert rouge_l(answer, references) == pytest.approx(wanted, abs=1e-6)


def test_the_longest_common_subsequence_is_that_of_the_usual_table() -> None:
    rng = np.random.default_rng(2)
    for _ in range(40):
        first, second = (
            [str(word) for word in rng.integers(0, 4, size=rng.integers(0, 70))] for _ in range(2)
        )
        table = np.zeros((len(first) + 1, len(second) + 1), dtype=int)
        for i, word in enumerate(first):
            for j, other in enumerate(second):
                longer = max(table[i, j + 1], table[i + 1, j])
                table[i + 1, j + 1] = table[i, j] + 1 if word == other else longer
        assert longest_common(first, second) == table[-1, -1]


def test_equal_empty_and_foreign_texts() -> None:
    assert rouge_l("A man runs.", ["a dog sits", "a man runs"]) == 1.0
    assert rouge_l("", ["a man runs"]) == 0.0
    assert rouge_l("a man", [""]) == 0.0


def test_other_scripts_are_compared_in_their_own_words() -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    assert scorer.score("человек бежит", "человек бежит")["rougeL"].fmeasure == 0
    assert rouge_l("Человек стоит", ["человек бежит"]) == pytest.approx(0.5)
    assert rouge_l("男は走る", ["男が走る"]) == pytest.approx(0.75)
