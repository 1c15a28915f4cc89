"""Are BLEU and chrF sacrebleu's, of all answers and of any draw of them?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from fixtures_captions import CAPTION_WORDS
from flipbook.score.measure import Measure
from flipbook.score.metrics.corpus import bleu_4, chrf

Metric = Callable[[Sequence[str], Sequence[Sequence[str]]], Measure]
BOTH = [pytest.param(bleu_4, BLEU, id="bleu"), pytest.param(chrf, CHRF, id="chrf")]


def _texts(seed: int, num: int) -> tuple[list[str], list[list[str]]]:
    """Answers, and for each another number of references, some of them close to it."""
    rng = np.random.default_rng(seed)

    def text() -> str:
        return " ".join(rng.choice(CAPTION_WORDS, size=rng.integers(0, 16)))

    answers = [text() for _ in range(num)]
    references = [[text() for _ in range(rng.integers(1, 5))] for _ in range(num)]
    for place in range(0, num, 3):
        references[place].append(f"{answers[place]} {text()}")
    return answers, references


def _by_sacrebleu(metric: Any, answers: Sequence[str], references: list[list[str]]) -> float:
    most = max(len(texts) for texts in references)
    padded = [[*texts, *[None] * (most - len(texts))] for texts in references]
    score: float = (
        metric().corpus_score(answers, [list(s) for s in zip(*padded, strict=True)]).score
    )
    return score / 100


@pytest.mark.parametrize(("metric", "theirs"), BOTH)
@pytest.mark.parametrize("seed", range(6))
def test_values_are_those_of_sacrebleu(metric: Metric, theirs: Any, seed: int) -> None:
    answers, references = _texts(seed, 1 + seed * 5)
    wanted = _by_sacrebleu(theirs, answers, references)
    assert metric(answers, references).value == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("metric", "theirs"), BOTH)
def test_any_draw_of_the_questions_has_the_value_of_its_texts(metric: Metric, theirs: Any) -> None:
    answers, references = _texts(7, 12)
    measure = metric(answers, references)
    rng = np.random.default_rng(0)
    draws = np.stack([rng.integers(0, 12, size=12) for _ in range(10)])
    weights = np.stack([np.bincount(draw, minlength=12) for draw in draws])
    values = measure.combine((weights @ measure.stats).reshape(2, 5, -1))
    wanted = [
        _by_sacrebleu(theirs, [answers[n] for n in draw], [references[n] for n in draw])
        for draw in draws
    ]
    assert values.shape == (2, 5)
    assert values.ravel() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("metric", "theirs"), BOTH)
@pytest.mark.parametrize(
    ("answers", "references"),
    [
        pytest.param(["A man runs over there."], [["A man runs over there."]], id="equal"),
        pytest.param([""], [["a man"]], id="empty answer"),
        pytest.param(["a man"], [[""]], id="empty reference"),
        pytest.param(["", ""], [["", "x"], ["y"]], id="all empty"),
        pytest.param(["a man"], [["a man runs far away", "man a"]], id="short"),
        pytest.param(["a b c d e f"], [["a c e g i k"]], id="no pair of words"),
        pytest.param(["猫が走る"], [["猫が歩く", "犬"]], id="unicode"),
    ],
)
def test_edges_are_those_of_sacrebleu(
    metric: Metric, theirs: Any, answers: list[str], references: list[list[str]]
) -> None:
    value = metric(answers, references).value
    assert value == pytest.approx(_by_sacrebleu(theirs, answers, references), abs=1e-6)


@pytest.mark.parametrize("metric", [bleu_4, chrf])
def test_lists_that_do_not_fit_are_refused(metric: Metric) -> None:
    with pytest.raises(ValueError, match="2 answers need as many lists of references"):
        metric(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="none of them empty"):
        metric(["a"], [[]])
    with pytest.raises(ValueError, match="N of 1 or more"):
        metric([], [])
