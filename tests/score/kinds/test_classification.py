"""Are classes judged by likelihood, and is macro F1 that of the definition, for every draw?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from flipbook.score.kinds.classification import macro_f1
from flipbook.score.kinds.table import judge, measures_of
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion

Ask = Callable[..., AskedQuestion]
CLASSES = ("run", "walk", "jump", "sit", "swim", "climb")


def _judged(ask: Ask, right: str, values: Sequence[float], said: str = "") -> Prediction:
    question = ask(right, kind="classification", options=CLASSES[: len(values)], answer=right)
    return judge(question, Answer(said or right, tuple(values)))


def test_top_1_and_top_5(ask: Ask) -> None:
    first = _judged(ask, "walk", [-3, -1, -2, -4, -5, -6])
    fifth = _judged(ask, "swim", [-3, -1, -2, -4, -5, -6], said="Swimming")
    last = _judged(ask, "climb", [-3, -1, -2, -4, -5, -6], said="run.")
    assert [item.value for item in (first, fifth, last)] == [1.0, 0.0, 0.0]
    assert [item.measures["top_5"] for item in (first, fifth, last)] == [1.0, 1.0, 0.0]
    assert [item.measures["generated_accuracy"] for item in (first, fifth, last)] == [1, 0, 0]
    assert [item.measures["unparsed"] for item in (first, fifth, last)] == [0.0, 1.0, 0.0]
    assert list(measures_of([first, fifth, last])) == [
        "top_1",
        "top_5",
        "generated_accuracy",
        "unparsed",
        "macro_f1",
    ]


def test_of_five_classes_or_fewer_top_5_says_nothing(ask: Ask) -> None:
    assert "top_5" not in _judged(ask, "walk", [-3, -1, -2, -4, -5]).measures


def test_equal_likelihoods_rank_in_the_order_of_the_classes(ask: Ask) -> None:
    assert _judged(ask, "run", [-1] * 6).value == 1.0
    assert _judged(ask, "swim", [-1] * 6).measures["top_5"] == 1.0
    assert _judged(ask, "climb", [-1] * 6).measures["top_5"] == 0.0


def _drawn(ask: Ask, num: int, seed: int) -> list[Prediction]:
    """Predictions over five of six classes; one class is chosen and never right."""
    rng = np.random.default_rng(seed)
    rights = rng.choice(CLASSES[:5], size=num)
    return [_judged(ask, right, rng.normal(size=6).tolist()) for right in rights]


def _f1_by_definition(pairs: Sequence[tuple[str, str]]) -> float:
    """Mean F1 of the classes that stand on the left, from precision and recall."""
    values = []
    for name in {right for right, _ in pairs}:
        hits = sum(right == choice == name for right, choice in pairs)
        num_chosen = sum(choice == name for _, choice in pairs)
        precision = hits / num_chosen if num_chosen else 0.0
        recall = hits / sum(right == name for right, _ in pairs)
        total = precision + recall
        values.append(2 * precision * recall / total if total else 0.0)
    return sum(values) / len(values)


def _pairs(predictions: Sequence[Prediction]) -> list[tuple[str, str]]:
    return [
        (item.options[item.right_option], item.options[item.choice])
        for item in predictions
        if item.right_option is not None and item.choice is not None
    ]


def test_macro_f1_is_that_of_the_definition_for_every_draw(ask: Ask) -> None:
    predictions = _drawn(ask, 40, seed=0)
    measure = macro_f1(predictions)
    assert measure.value == pytest.approx(_f1_by_definition(_pairs(predictions)), abs=1e-9)
    rng = np.random.default_rng(1)
    draws = rng.integers(0, 40, size=(20, 6))
    weights = np.stack([np.bincount(draw, minlength=40) for draw in draws])
    pairs = _pairs(predictions)
    wanted = [_f1_by_definition([pairs[n] for n in draw]) for draw in draws]
    assert measure.combine(weights @ measure.stats) == pytest.approx(wanted, abs=1e-9)


def test_macro_f1_weighs_rare_classes_as_much(ask: Ask) -> None:
    always_run = [_judged(ask, "run", [-1, -2]) for _ in range(9)]
    assert macro_f1([*always_run, _judged(ask, "walk", [-1, -2])]).value == pytest.approx(
        (18 / 19 + 0) / 2
    )
    assert macro_f1(always_run).value == 1.0


def test_a_missing_choice_is_a_miss_and_no_choice_of_another_class(ask: Ask) -> None:
    question = ask("walk", kind="classification", options=CLASSES)
    none = judge(question, Answer("no idea"))
    run, walk = _judged(ask, "run", [-1, -2]), _judged(ask, "walk", [-2, -1])
    assert none.choice is None
    # walk: 1 of 2 found, 1 of 1 right; run: all right
    assert macro_f1([none, run, walk]).value == pytest.approx((2 / 3 + 1) / 2)


def test_predictions_that_forgot_their_options_have_no_macro_f1(ask: Ask) -> None:
    known = _judged(ask, "run", [-1, -2])
    forgotten = replace(known, options=(), right_option=None, choice=None)
    assert "macro_f1" not in measures_of([known, forgotten])
    with pytest.raises(ValueError, match="does not know its right option"):
        macro_f1([known, forgotten])
