"""Are open answers right only where they say what the record says?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flipbook.score.kinds.table import judge
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion

Ask = Callable[..., AskedQuestion]


@pytest.mark.parametrize(
    ("words", "exact", "f1", "contained"),
    [
        ("To the left.", 1.0, 1.0, 1.0),
        ("LEFTWARDS", 1.0, 1.0, 1.0),
        ("It moves to the left", 0.0, 2 * 2 / (4 + 2), 1.0),
        ("left to", 0.0, 1.0, 0.0),
        ("right", 0.0, 0.0, 0.0),
        ("", 0.0, 0.0, 0.0),
    ],
)
def test_any_right_answer_will_do(
    ask: Ask, words: str, exact: float, f1: float, contained: float
) -> None:
    judged = judge(ask("to the left", references=("leftwards",)), Answer(words))
    assert judged.kind == "open"
    assert judged.value == exact
    assert judged.measures == {
        "exact_match": exact,
        "token_f1": pytest.approx(f1),
        "contains": contained,
    }
    assert judged.references == ("to the left", "leftwards")
