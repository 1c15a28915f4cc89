"""What the cell of a table says."""

from __future__ import annotations

import pytest

from flipbook.data.formats import cells
from flipbook.errors import RecordError


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (3, 3.0),
        ("3.5", 3.5),
        ("0:03.5", 3.5),
        ("1:02", 62.0),
        (" 01:00:02.25 ", 3602.25),
    ],
)
def test_instants(value: object, seconds: float) -> None:
    assert cells.time_s(value, "start", "r") == seconds


@pytest.mark.parametrize("value", ["1:2:3:4", "-1", -1, "1:", True, "nan", "inf", [], {}])
def test_what_is_no_instant(value: object) -> None:
    with pytest.raises(RecordError, match="'start' is .*; it must be seconds, from 0 on"):
        cells.time_s(value, "start", "r")


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (["rain|snow"], ["rain", "snow"]),
        ([["rain", 7]], ["rain", "7"]),
        (['["a|b", "c"]'], ["a|b", "c"]),
        (["[a]|b"], ["[a]", "b"]),
        (["rain", "snow", ""], ["rain", "snow"]),
    ],
)
def test_options(values: list[object], options: list[str]) -> None:
    assert cells.options(values, "r") == options


@pytest.mark.parametrize(
    ("answer", "place"), [("snow", 1), ("B", 1), ("b.", 1), ("(A)", 0), ("A", 0)]
)
def test_the_right_option(answer: str, place: int) -> None:
    assert cells.place_of(answer, ["rain", "snow"], "r") == place


def test_a_text_comes_before_a_letter() -> None:
    assert cells.place_of("A", ["B", "A"], "r") == 1


def test_texts() -> None:
    assert cells.texts("a|b", "answer", "r") == ["a|b"]
    assert cells.texts(["a", 7], "answer", "r") == ["a", "7"]
    assert cells.texts("a|b", "references", "r", may_lack=True) == ["a", "b"]
    assert cells.texts(None, "references", "r", may_lack=True) == []
    with pytest.raises(RecordError, match="has no 'answer'"):
        cells.texts(None, "answer", "r")
    with pytest.raises(RecordError, match=r"'answer' is \[\]; it must be text"):
        cells.texts([], "answer", "r")
