"""Does scores.json say what the answers come to, and nothing that is not known?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from fixtures_predictions import make_prediction, share
from flipbook.data.extras import Extras
from flipbook.data.records import Turn
from flipbook.errors import DataError
from flipbook.evaluate.claims import claims_of, measured, score_rows, temporal_gain
from flipbook.evaluate.differences import differences_of, paired
from flipbook.evaluate.rows import ROW_OF_CONTROL, ROWS
from flipbook.score.controls import CONTROLS
from flipbook.score.kinds.table import judge
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion

CLASSES = ("run", "walk", "jump", "sit", "fall", "turn")


def questions() -> list[AskedQuestion]:
    def ask(name: str, task: str, reference: str, extras: Extras) -> AskedQuestion:
        turns = (Turn("user", ("?",)), Turn("assistant", (reference,)))
        return AskedQuestion(name, task, turns, extras=extras)

    classes = [
        ask(f"c{place}", "class", name, Extras(kind="classification", options=CLASSES, answer=name))
        for place, name in enumerate(CLASSES * 2)
    ]
    counts = [ask(f"n{place}", "count", str(place), Extras(kind="count")) for place in range(8)]
    return [*classes, *counts]


def answered(right_of: int) -> list[Prediction]:
    """Judge answers of which each `right_of`-th is right."""
    predictions = []
    for place, question in enumerate(questions()):
        is_right = place % right_of == 0
        said = question.reference if is_right else "999"
        likelihoods = tuple(
            -1.0 if (option == question.reference) == is_right else -2.0
            for option in question.options
        )
        predictions.append(judge(question, Answer(said, likelihoods)))
    return predictions


@pytest.fixture(scope="module")
def claims() -> dict[str, Any]:
    rows = {
        "shuffled": answered(4),
        "tuned": answered(1),
        "untuned": answered(3),
        "other_clip": answered(5)[:12],
        "still_images_before": share(9, 10),
        "still_images_after": share(8, 10),
    }
    return claims_of(rows, questions=questions())


def test_rows_come_first_and_in_their_order(claims: dict[str, Any]) -> None:
    assert list(claims) == [
        "untuned",
        "tuned",
        "shuffled",
        "other_clip",
        "still_images_before",
        "still_images_after",
        "num_questions",
        "num_videos",
        "intervals",
        "kinds",
        "num_of_kind",
        "temporal_gain",
        "differences",
        "chance",
        "verdict",
    ]
    assert claims["tuned"] == {"mean": 1.0, "class": 1.0, "count": 1.0}
    assert claims["num_questions"]["tuned"] == {"class": 12, "count": 8}
    assert claims["num_videos"]["tuned"] == 20
    assert claims["num_of_kind"]["tuned"] == {"classification": 12, "count": 8}


def test_every_number_has_an_interval(claims: dict[str, Any]) -> None:
    for row in ("untuned", "tuned", "shuffled", "other_clip"):
        assert claims["intervals"][row].keys() == claims[row].keys()
        for name, value in claims[row].items():
            low, high = claims["intervals"][row][name]
            assert 0 <= low <= value <= high <= 1
            assert low < high
    assert claims["kinds"]["tuned"]["classification"].keys() == {
        "top_1",
        "top_5",
        "generated_accuracy",
        "unparsed",
        "macro_f1",
    }
    for measures in claims["kinds"]["untuned"].values():
        for own in measures.values():
            assert own.get("low", own["value"]) <= own["value"] <= own.get("high", own["value"])


def test_comparisons_are_on_shared_questions(claims: dict[str, Any]) -> None:
    assert list(claims["differences"]) == [
        "tuned-untuned",
        "tuned-shuffled",
        "tuned-other_clip",
        "still_images_after-still_images_before",
    ]
    gain = claims["differences"]["tuned-shuffled"]
    assert gain["value"] == pytest.approx(claims["tuned"]["mean"] - claims["shuffled"]["mean"])
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert gain["p_value"] < 0.05
    assert claims["temporal_gain"] == {**gain, "against": "shuffled"}
    stills = claims["differences"]["still_images_after-still_images_before"]
    assert stills["value"] == pytest.approx(-0.1)


def test_chance_and_verdict_are_there(claims: dict[str, Any]) -> None:
    assert claims["chance"] == {"mean": pytest.approx(1 / 12), "class": 1 / 6, "count": 0.0}
    assert claims["verdict"].startswith(
        "The tuned model answers 1.00 of the questions (mean over 2 tasks), 0.35 before"
    )


def test_json_can_hold_it(claims: dict[str, Any]) -> None:
    assert json.loads(json.dumps(claims, allow_nan=False)) == claims


def test_what_is_not_known_is_left_out() -> None:
    count = [item for item in answered(1) if item.kind == "count"]
    assert measured(count)["absolute_error"] == {"value": 0.0}
    nothing_parsed = [
        judge(question, Answer("many")) for question in questions() if question.kind == "count"
    ]
    assert "absolute_error" not in measured(nothing_parsed)
    alone = claims_of({"tuned": share(3, 10)}, questions=questions())
    assert "temporal_gain" not in alone
    assert alone["differences"] == {}


def test_temporal_gain_is_over_the_better_of_shuffled_and_one_frame() -> None:
    rows = {"tuned": share(9, 10), "shuffled": share(2, 10), "single_frame": share(6, 10)}
    gain = temporal_gain(differences_of(rows))
    assert gain is not None
    assert gain["against"] == "single_frame"
    assert gain["value"] == pytest.approx(0.3)


def test_pairs_follow_the_order_of_the_first() -> None:
    first = [make_prediction(name, 1) for name in ("a", "b", "c")]
    second = [make_prediction(name, 0) for name in ("c", "x", "a")]
    left, right = paired(first, second)
    assert [item.record_id for item in left] == ["a", "c"]
    assert [item.record_id for item in right] == ["a", "c"]
    assert {item.value for item in right} == {0.0}


def test_rows_without_a_shared_question_are_not_compared() -> None:
    rows = {"tuned": share(1, 8), "blank": share(1, 8, task="another")}
    assert differences_of(rows) == {}


def test_every_control_has_a_row() -> None:
    assert set(ROW_OF_CONTROL) == set(CONTROLS)
    assert set(ROW_OF_CONTROL.values()) < ROWS.keys()
    assert list(score_rows({row: share(1, 2) for row in reversed(ROWS)})) == list(ROWS)


def test_unknown_rows_and_a_task_called_mean_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown rows \['shufled'\]"):
        score_rows({"shufled": share(1, 2)})
    with pytest.raises(DataError, match='the task "mean" has the name'):
        claims_of({"tuned": share(1, 2, task="mean")}, questions=[])


def test_scores_that_are_made_already_are_taken() -> None:
    rows = {"tuned": answered(1), "shuffled": answered(4)}
    scores = score_rows(rows)
    assert claims_of(rows, questions=questions(), scores=scores) == claims_of(
        rows, questions=questions()
    )
