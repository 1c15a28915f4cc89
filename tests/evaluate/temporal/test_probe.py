"""The linear readers find what is there, and what should not be."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from flipbook.data.generated import scenes
from flipbook.data.generated.flashes import appear
from flipbook.data.generated.movies import Movie, Random
from flipbook.data.generated.scenes import SUITE_TASKS
from flipbook.evaluate.temporal.probe import Probe, Reading, linear_reader_right, probe_tasks


def test_a_sound_suite_has_no_faults() -> None:
    probe = probe_tasks(("order", "last_frame"), num_clips=80)
    assert probe.faults() == []
    found = probe.readings["order"]
    assert found["untimed"].value > 0.75
    assert found["unordered"].interval[0] <= 0.5
    told = probe.readings["last_frame"]
    assert told["last_frame"].value > 0.8
    assert told["middle_frame"].interval[0] < 1 / 3
    assert {reading.asked for reading in (*found.values(), *told.values())} == {40}


@pytest.mark.slow
def test_the_whole_suite_is_sound() -> None:
    probe = probe_tasks(tuple(SUITE_TASKS), num_clips=400, seed=7)
    assert probe.faults() == []
    in_order = {task: found["untimed"] for task, found in probe.readings.items()}
    readable = set(SUITE_TASKS) - {"count", "faster", "duration", "span"}
    for task in readable:  # by a straight line, in order; the others need more than that
        assert in_order[task].interval[0] > 1.2 * in_order[task].chance
    timed = probe.readings["duration"]["timed"]
    assert timed.interval[0] > probe.readings["duration"]["untimed"].ceiling


def test_what_a_mark_gives_away_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator that dims clips of one answer leaks it to readers of unordered frames."""

    def leaking(random: Random) -> tuple[Movie, ...]:
        first, second = appear(random)
        pictures = tuple(type(p)((90.0, 90.0), p.shapes) for p in second.pictures)
        return first, Movie(pictures, second.questions)

    monkeypatch.setitem(scenes.SUITE_TASKS, "appear", leaking)
    probe = probe_tasks(("appear",), num_clips=60)
    assert probe.readings["appear"]["unordered"].ceiling == 1  # counted from the same movies
    (fault,) = probe.faults()
    assert fault.startswith("appear: a reader of 'unordered' reaches 0.9")
    assert fault.endswith("above the 0.500 that is claimed")


def test_what_is_claimed_is_checked() -> None:
    many = Reading(right=50, asked=60, ceiling=0.5, chance=1 / 3)
    for task, name, claimed in (
        ("duration", "untimed", "0.333"),
        ("duration", "unordered", "0.333"),
        ("span", "untimed", "0.500"),
    ):
        (fault,) = Probe({task: {name: many}}, 120, 0).faults()
        assert fault.startswith(f"{task}: a reader of '{name}' reaches 0.833")
        assert fault.endswith(f"above the {claimed} that is claimed")
    assert Probe({"order": {"timed": many, "last_frame": many}}, 120, 0).faults() == []
    assert Probe({"duration": {"untimed": Reading(25, 60, 1 / 3, 1 / 3)}}, 120, 0).faults() == []


def test_a_frame_that_does_not_tell_is_a_fault() -> None:
    blind = Reading(right=21, asked=60, ceiling=1.0, chance=1 / 3)
    (fault,) = Probe({"colour": {"middle_frame": blind}}, 120, 0).faults()
    assert "a reader of 'middle_frame' reaches 0.350 [0.2" in fault
    assert fault.endswith("not above chance 0.333")
    assert Probe({"order": {"middle_frame": blind}}, 120, 0).faults() == []


def test_a_probe_is_written_as_json() -> None:
    probe = Probe({"span": {"untimed": Reading(30, 60, 0.5, 1 / 6)}}, 120, 3)
    told = json.loads(json.dumps(probe.as_dict()))
    assert told["num_clips"] == 120
    assert told["faults"] == []
    assert told["tasks"]["span"]["needs"] == "order, timestamps"
    reading = told["tasks"]["span"]["readings"]["untimed"]
    assert reading["low"] < reading["value"] == reading["ceiling"] == 0.5 < reading["high"]
    assert reading["asked"] == 60


def test_luck_and_interval() -> None:
    reading = Reading(right=8, asked=10, ceiling=0.5, chance=0.5)
    assert reading.luck(0.5) == pytest.approx(56 / 1024)  # 45 + 10 + 1 of 1,024 outcomes
    assert reading.interval == pytest.approx((0.4902, 0.9433), abs=1e-3)  # Wilson's
    assert Reading(10, 10, 0.5, 0.5).luck(0.0) == 0
    assert Reading(0, 10, 0.5, 0.5).luck(0.5) == pytest.approx(1)
    assert Reading(10, 10, 1.0, 0.5).luck(1.0) == 1


def test_the_same_seed_gives_the_same_probe() -> None:
    once, again = (probe_tasks(("colour",), num_clips=12, seed=5) for _ in range(2))
    assert once == again
    assert once != probe_tasks(("colour",), num_clips=12, seed=6)


def test_progress_counts_tasks() -> None:
    told: list[Any] = []
    probe_tasks(("colour", "order"), num_clips=4, on_progress=lambda *n: told.append(n))
    assert told == [(1, 2), (2, 2)]


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(ValueError, match="num_clips is 3: half of 4 or more are to learn from"):
        probe_tasks(("colour",), num_clips=3)


def test_ridge_regression_learns_what_is_linear() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(400, 8))
    answers = ["left" if row[3] + 0.5 * row[7] > 0 else "right" for row in rows]
    options = [("left", "right")] * 400
    assert linear_reader_right(rows, answers, options).mean() > 0.9
    mixed = list(random.permutation(answers))
    assert 0.35 < linear_reader_right(rows, mixed, options).mean() < 0.65


def test_options_bound_the_guess() -> None:
    """An answer that was never right in the first half is the last to be taken."""
    rows = np.array([[0.0], [1.0], [0.0], [1.0], [0.0], [1.0]])
    answers = ["a", "b", "a", "b", "a", "c"]
    options = [("a", "b"), ("a", "b"), ("a", "b"), ("a", "b"), ("a", "c"), ("c", "a")]
    assert linear_reader_right(rows, answers, options).tolist() == [True, True, False]
