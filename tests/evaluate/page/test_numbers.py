"""A number is written the same way everywhere in a report."""

from __future__ import annotations

import pytest

from flipbook.evaluate.page.numbers import (
    clock,
    in_bytes,
    in_words,
    number,
    p_in_words,
    quantity,
    signed,
    with_interval,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.51249, "0.512"), (1, "1.000"), (-0.2, "\u22120.200"), (-0.0001, "0.000"), (None, "\u2013")],
)
def test_scores_have_three_decimals(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12, "+0.120"), (-0.12, "\u22120.120"), (0.0, "0.000"), (0.0004, "0.000"), (None, "\u2013")],
)
def test_differences_have_their_sign(value: float | None, text: str) -> None:
    assert signed(value) == text


def test_an_interval_stands_behind_its_value_where_there_is_one() -> None:
    assert with_interval({"value": 0.5, "low": 0.4, "high": 0.6}) == "0.500 [0.400,\u00a00.600]"
    assert with_interval({"value": 0.5}, sign=True) == "+0.500"


@pytest.mark.parametrize(("p_value", "text"), [(0.0123, "p = 0.012"), (0.0002, "p < 0.001")])
def test_small_chances_are_not_called_zero(p_value: float, text: str) -> None:
    assert p_in_words(p_value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.6, "1,235"),
        (12.345, "12.3"),
        (9.87, "9.87"),
        (2500000, "2,500,000"),
        (1.0, "1"),
        (0.25, "0.25"),
        (-3.5, "\u22123.5"),
        (2e-05, "2e\u221205"),
        (float("inf"), "inf"),
    ],
)
def test_quantities_have_about_three_digits(value: float, text: str) -> None:
    assert quantity(value) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(12, "12 B"), (1500, "1.5 kB"), (1.734e9, "1.7 GB"), (5e15, "5000.0 TB")],
)
def test_sizes_have_their_unit(num_bytes: float, text: str) -> None:
    assert in_bytes(num_bytes) == text


@pytest.mark.parametrize(
    ("time_s", "text"), [(2.75, "2.75 s"), (62.75, "1:02.75"), (3600.5, "1:00:00.50")]
)
def test_instants_read_like_a_clock(time_s: float, text: str) -> None:
    assert clock(time_s) == text


def test_names_lose_their_underscores() -> None:
    assert in_words("single_frame") == "single frame"
    assert in_words("recall_at_0_5") == "recall at 0.5"
    assert in_words("top_5") == "top 5"
