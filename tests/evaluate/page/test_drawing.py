"""A drawing puts numbers where they belong, at any width, and says what it shows."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from fixtures_html import read_html
from flipbook.evaluate.page.curves import MOST_CURVES, Curve, curve_chart, thinned
from flipbook.evaluate.page.dots import Dot, dot_chart
from flipbook.evaluate.page.drawing import (
    Scale,
    drawing,
    height_of,
    log_scale_of,
    scale_of,
    shortened,
    stretched_line,
)
from flipbook.evaluate.page.spots import Spot, spot_chart

HOSTILE = "<script>\"'&"


def test_a_scale_ends_at_round_numbers_around_all_values() -> None:
    scale = scale_of([0.31, 1.62])
    assert scale.low <= 0.31
    assert scale.high >= 1.62
    assert scale.ticks == pytest.approx((0.0, 0.5, 1.0, 1.5, 2.0))
    assert scale_of([3.0, 9.0], from_zero=True).low == 0


@pytest.mark.parametrize("value", [0.0, 5.0, -2.0, 1e-9, 1e9])
def test_a_scale_of_equal_values_has_them_in_the_middle(value: float) -> None:
    scale = scale_of([value, value])
    assert scale.low < value < scale.high


def test_shares_of_a_scale_are_even_or_go_by_ratio() -> None:
    assert Scale(2, 6).share(3) == 0.25
    assert Scale(2, 6).percent(3) == "25.00%"
    assert Scale(1, 100, is_log=True).share(10) == pytest.approx(0.5)


def test_a_logarithmic_scale_has_ticks_inside_only() -> None:
    scale = log_scale_of([9, 120])
    assert scale.ticks == (10, 20, 50, 100)
    assert scale.low < 9 < 120 < scale.high


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, float("inf")), (float("nan"), 1)])
def test_a_scale_without_width_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="a scale from"):
        Scale(low, high)


def test_a_logarithm_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a logarithmic scale from 0"):
        Scale(0, 1, is_log=True)
    with pytest.raises(ValueError, match="a logarithmic scale for 0"):
        log_scale_of([0, 1])


def test_high_values_are_high_up() -> None:
    scale = Scale(0, 1)
    assert height_of(scale, 0, top=20, bottom=200) == 200
    assert height_of(scale, 1, top=20, bottom=200) == 20


def test_a_drawing_says_what_it_is_and_escapes_its_words() -> None:
    svg = drawing([Markup("<line/>")], title=HOSTILE, description="d", height_px=10, kind="k")
    root = read_html(svg)
    assert root.one("title").text == HOSTILE
    assert root.one("desc").text == "d"
    assert root.one("svg").attributes["role"] == "img"
    assert root.one("svg").attributes["width"] == "100%"
    assert not root.all("script")


def test_a_line_is_stretched_over_the_whole_width() -> None:
    line = read_html(stretched_line([(0, 0), (1, 1)], top=0, bottom=50, kind="k")).one("polyline")
    assert line.attributes["points"] == "0.0,1000.0 1000.0,0.0"
    assert line.attributes["vector-effect"] == "non-scaling-stroke"


@pytest.mark.parametrize(
    ("text", "short"),
    [("abc", "abc"), ("abcdef", "abcd\u2026"), ("猫が走", "猫が\u2026"), ("ab cdef", "ab c\u2026")],
)
def test_long_names_are_shortened_by_their_room(text: str, short: str) -> None:
    assert shortened(text, 4) == short


def test_dots_stand_at_their_values() -> None:
    dots = [Dot(HOSTILE, 0.5, 0.4, 0.75, before=0.25, chance=0.1, is_main=True), Dot("b", 1.0)]
    svg = dot_chart(dots, title="t", description="d", chance=0.2)
    root = read_html(svg)
    assert [dot.attributes["cx"] for dot in root.all("circle", class_="dot")] == [
        "50.00%",
        "100.00%",
    ]
    interval = root.one("line", class_="interval")
    assert (interval.attributes["x1"], interval.attributes["x2"]) == ("40.00%", "75.00%")
    assert root.one("circle", class_="ring").attributes["cx"] == "25.00%"
    assert [line.attributes["x1"] for line in root.all("line", class_="chance")] == [
        "20.00%",
        "10.00%",
    ]
    assert "chance 0.200" in root.text
    assert f"{HOSTILE}: 0.500 [0.400,\u00a00.750]" in root.text


def test_curves_share_their_steps_and_their_height() -> None:
    curves = [Curve("a", ((0, 0.0), (100, 2.0))), Curve("b", ((50, 1.0),))]
    root = read_html(curve_chart(curves, title="t", description="d"))
    first, second = root.all("polyline")
    assert first.attributes["points"] == "70.0,1000.0 1000.0,0.0"
    assert second.attributes["points"] == "535.0,500.0"
    assert [mark.attributes["cx"] for mark in root.all("circle")] == ["7.00%", "100.00%", "53.50%"]
    steps = [text for text in root.all("text", class_="tick") if text.text.startswith("step")]
    assert [(text.text, text.attributes["x"]) for text in steps] == [
        ("step 0", "7%"),
        ("step 100", "100%"),
    ]


def test_a_curve_at_one_step_is_drawn() -> None:
    root = read_html(curve_chart([Curve("a", ((20, 1.0),))], title="t", description="d"))
    assert root.one("circle").attributes["cx"] == "53.50%"
    assert root.text.count("step 20") == 1


def test_long_curves_keep_their_ends() -> None:
    points = [(float(step), float(step)) for step in range(1000)]
    kept = thinned(points, 10)
    assert len(kept) == 10
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert thinned(points[:5], 10) == points[:5]


def test_what_cannot_be_told_apart_is_refused() -> None:
    curve = Curve("a", ((0, 0.0),))
    with pytest.raises(ValueError, match="7 curves in one drawing; 1 to 6"):
        curve_chart([curve] * (MOST_CURVES + 1), title="t", description="d")
    with pytest.raises(ValueError, match="curve 'a' has no points"):
        Curve("a", ())


def test_the_front_and_the_pick_of_a_sweep_are_drawn() -> None:
    spots = [
        Spot("cheap", 10, 0.5, 0.4, 0.6, is_on_front=True),
        Spot("best", 100, 0.7, 0.6, 0.8, is_on_front=True, is_picked=True),
        Spot("beaten", 50, 0.45, 0.3, 0.5, is_trained=True),
        Spot("unnamed", 60, 0.4, 0.3, 0.5),
    ]
    root = read_html(spot_chart(spots, title="t", description="d"))
    front = root.one("polyline", class_="front").attributes["points"].split()
    assert len(front) == 2
    assert len(root.all("circle", class_="picked")) == 1
    names = [text.text for text in root.all("text", class_="name")]
    assert names == ["cheap", "beaten (trained so)", "best (picked)"]
    assert len(root.all("circle", class_="dot")) == 4
