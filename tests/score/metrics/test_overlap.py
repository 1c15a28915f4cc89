"""Do short answers share words with right ones as SQuAD's script counts them?"""

from __future__ import annotations

import re
import string
from collections import Counter

import numpy as np
import pytest

from flipbook.score.metrics.overlap import contains, token_f1

WORDS = ["the", "a", "An", "ball", "Red", "red.", "moves", "left!", "it's", "über", "3"]


def _by_definition(answer: str, reference: str) -> float:
    """F1 from precision and recall, words taken apart step by step."""

    def words(text: str) -> list[str]:
        letters = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", letters).split()

    said, right = words(answer), words(reference)
    if not said or not right:
        return float(said == right)
    shared = sum((Counter(said) & Counter(right)).values())
    if shared == 0:
        return 0.0
    precision, recall = shared / len(said), shared / len(right)
    return 2 * precision * recall / (precision + recall)


def test_f1_is_that_of_the_nearest_reference() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        answer, *references = (
            " ".join(rng.choice(WORDS, size=rng.integers(0, 6))) for _ in range(rng.integers(2, 5))
        )
        wanted = max(_by_definition(answer, reference) for reference in references)
        assert token_f1(answer, references) == pytest.approx(wanted, abs=1e-9)


def test_f1_of_a_pair() -> None:
    assert token_f1("a red ball", ["the ball"]) == pytest.approx(2 / 3)
    assert token_f1("", ["ball"]) == 0.0
    assert token_f1("the", ["A."]) == 1.0


def test_what_is_contained_stands_as_whole_words_side_by_side() -> None:
    assert contains("I see the red ball.", ["Red ball"])
    assert contains("a cat", ["dog", "cat"])
    assert not contains("scatter", ["cat"])
    assert not contains("red and ball", ["red ball"])
    assert not contains("", ["cat"])
    assert contains("小さい猫", ["猫"])


def test_a_reference_without_words_is_contained_in_nothing_else() -> None:
    assert not contains("a cat", ["The"])
    assert contains("A.", ["the"])


def test_nothing_to_compare_with_is_refused() -> None:
    with pytest.raises(ValueError, match="one reference or more, and there is none"):
        contains("cat", [])
