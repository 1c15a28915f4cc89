"""Are stretches of time read strictly, and do they overlap as they should?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flipbook.data.formats.prompts import span_answer
from flipbook.errors import RecordError
from flipbook.score.kinds.table import judge
from flipbook.score.kinds.when import parse_span, right_spans, tiou
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion

Ask = Callable[..., AskedQuestion]


@pytest.mark.parametrize(
    "text",
    [
        span_answer(3.0, 9.5),
        "3.0 - 9.5",
        "3.0-9.5s",
        "3–9.5",
        "3s to 9.5s",
        "FROM 3 SEC TO 9.5 SECS.",
        "between 3 and 9.5 seconds",
        "0:03-0:09.5",
        "From 00:03 until 00:09.5!",
        "00:00:03 - 00:00:09.5",
        "[3.0, 9.5]",
        "[3 s, 9.5 s] seconds",
        "The door opens from 3.0\nto 9.5 seconds.",
        "It happens in 3.0 - 9.5 seconds",
    ],
)
def test_the_usual_forms_are_read(text: str) -> None:
    assert parse_span(text) == (3.0, 9.5)


@pytest.mark.parametrize(
    "text",
    [
        *("", "3", "at 3 s", "3, 9", "3 and 9", "at 3 and 9", "between 3 to 9", "from 9 to 3"),
        *("2 times from 3 to 9", "from 3 to 9 to 12", "from 3 to 9, or from 10 to 12"),
        *("3 to 9 minutes", "3 to 9 frames", "frames 3 to 9", "minutes 3 - 9", "3m - 9m"),
        *("always except from 3 to 9", "never 3 - 9", "hours 3 - 9"),
        *("It does not happen from 3 to 9", "It doesn't: 3 - 9", "-3 to 9", "3 - -9", "x3 - 9"),
        *("3 to 9 percent", "0:99 - 1:00", "3..5 - 9", "It starts at 3 and ends at 9", "[3 - 9]"),
        f"from 3 to {'9' * 400}",
        f"from {'9' * 400} to {'9' * 500}",
    ],
)
def test_anything_else_is_no_stretch_of_time(text: str) -> None:
    assert parse_span(text) is None


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ((3, 9), (6, 12), 3 / 9),
        ((3, 9), (3, 9), 1.0),
        ((0, 10), (2, 4), 0.2),
        ((0, 1), (2, 3), 0.0),
        ((0, 1), (1, 2), 0.0),
        ((4, 4), (4, 4), 1.0),
        ((4, 4), (5, 5), 0.0),
        ((4, 4), (3, 9), 0.0),
    ],
)
def test_overlap(first: tuple[float, float], second: tuple[float, float], overlap: float) -> None:
    assert tiou(first, second) == tiou(second, first) == pytest.approx(overlap)


def test_the_best_of_the_right_stretches_counts(ask: Ask) -> None:
    question = ask("Twice.", kind="when", spans=((0.0, 2.0), (10.0, 20.0)))
    judged = judge(question, Answer("From 14.0 to 20.0 seconds."))
    assert judged.value == pytest.approx(0.6)
    assert judged.measures == {
        "tiou": judged.value,
        "recall_at_0_3": 1.0,
        "recall_at_0_5": 1.0,
        "recall_at_0_7": 0.0,
        "unparsed": 0.0,
    }


def test_an_overlap_that_is_just_enough_is_enough(ask: Ask) -> None:
    judged = judge(ask("0:00-0:02", kind="when"), Answer("0:01-0:02"))
    assert judged.value == judged.measures["recall_at_0_5"] / 2 == 0.5


def test_an_answer_that_cannot_be_read_overlaps_nothing(ask: Ask) -> None:
    question = ask("From 0.0 to 5.0 seconds.", kind="when")
    judged = judge(question, Answer("At the beginning."))
    assert judged.value == 0.0
    assert judged.measures["unparsed"] == 1.0
    assert judged.measures["recall_at_0_3"] == 0.0


def test_without_spans_the_references_tell(ask: Ask) -> None:
    question = ask("From 0.0 to 5.0 seconds.", kind="when", references=("0:07 - 0:09", "soon"))
    assert right_spans(question) == ((0.0, 5.0), (7.0, 9.0))


def test_a_record_that_tells_no_time_is_named(ask: Ask) -> None:
    message = r"record r1: asks when .* its reply 'soon' tells no stretch .* under 'spans'"
    with pytest.raises(RecordError, match=message):
        judge(ask("soon", kind="when"), Answer("From 0.0 to 5.0 seconds."))
