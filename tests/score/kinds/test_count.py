"""Is the one number of an answer read, and none where there is not just one?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flipbook.errors import RecordError
from flipbook.score.kinds.count import parse_number
from flipbook.score.kinds.table import judge, measures_of
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion

Ask = Callable[..., AskedQuestion]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("3", 3), ("3.", 3), ("3.0", 3), ("0", 0), ("-3", -3), ("1,200", 1200), ("2.5", 2.5)),
        *(("Three times.", 3), ("zero", 0), ("nineteen", 19), ("TWENTY", 20), ("ninety", 90)),
        *(("twenty-one", 21), ("Ninety nine times", 99), ("He does 7 squats, I think.", 7)),
    ],
)
def test_a_number_is_read(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *("", "none", "someone", "often", "3 or 4", "one two", "twenty eleven", "1/2", "1:30"),
        *("2-3 times", "3x", "21st", "5%", "3 at 5%", ".5", "1,0000", "three (3)"),
        *("one hundred", "two thousand", "a dozen", "two and a half", "No one jumps", "9" * 500),
    ],
)
def test_anything_else_is_no_number(text: str) -> None:
    assert parse_number(text) is None


def test_errors_are_counted_over_the_answers_that_tell_a_number(ask: Ask) -> None:
    question = ask("Three.", kind="count")
    judged = [judge(question, Answer(words)) for words in ("3", "four", "7 times", "many")]
    assert [item.value for item in judged] == [1.0, 0.0, 0.0, 0.0]
    assert [item.measures["within_one"] for item in judged] == [1.0, 1.0, 0.0, 0.0]
    assert "absolute_error" not in judged[3].measures
    measures = measures_of(judged)
    assert {name: measure.value for name, measure in measures.items()} == {
        "accuracy": 0.25,
        "within_one": 0.5,
        "absolute_error": pytest.approx(5 / 3),
        "unparsed": 0.25,
    }
    assert not measures["absolute_error"].in_unit_range
    assert measures["within_one"].in_unit_range


def test_where_no_answer_tells_a_number_there_is_no_error(ask: Ask) -> None:
    measures = measures_of([judge(ask("3", kind="count"), Answer("many"))])
    assert "absolute_error" not in measures


def test_the_answer_of_the_record_is_the_right_number(ask: Ask) -> None:
    question = ask("Three or so, say.", kind="count", answer="4")
    assert judge(question, Answer("4")).value == 1.0


def test_a_record_without_a_number_is_named(ask: Ask) -> None:
    with pytest.raises(RecordError, match="record r1: asks for a number, .* 'many'; write the"):
        judge(ask("many", kind="count"), Answer("4"))
