"""A ceiling is what the best reader reaches, and not a reader more."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from flipbook.data.generated.ceilings import READINGS, ceiling, order_blind_ceiling, overlap
from flipbook.data.generated.scenes import (
    LAST_FRAME,
    NEEDS,
    ONE_FRAME,
    ORDER,
    ORDER_AND_TIMESTAMPS,
    SUITE_TASKS,
    TIMESTAMPS,
    make_rivals,
)

CHANCE = {
    **dict.fromkeys(("count", "when", "bounces", "duration", "last_frame", "colour"), 1 / 3),
    "span": 1 / 6,
}


@pytest.mark.parametrize("task", SUITE_TASKS)
def test_a_task_needs_what_it_says(task: str) -> None:
    reached = {reading: ceiling(task, reading, num_rivalries=12) for reading in READINGS}
    chance = CHANCE.get(task, 0.5)
    assert reached["words"] == pytest.approx(chance)
    assert reached["timed"] == 1
    expected = {  # of unordered frames, and of frames in order without instants
        ORDER: (chance, 1),
        TIMESTAMPS: (chance, chance),
        ORDER_AND_TIMESTAMPS: (chance, 0.5),
        LAST_FRAME: (1, 1),
        ONE_FRAME: (1, 1),
    }[NEEDS[task]]
    assert (reached["unordered"], reached["untimed"]) == pytest.approx(expected)
    if NEEDS[task] in (LAST_FRAME, ONE_FRAME):
        assert reached["last_frame"] == 1
    if NEEDS[task] == LAST_FRAME:
        assert reached["middle_frame"] == pytest.approx(chance)


def test_knowing_more_never_lowers_a_ceiling() -> None:
    for task in SUITE_TASKS:
        chain = [
            ceiling(task, reading, num_rivalries=6)
            for reading in ("words", "unordered", "untimed", "timed")
        ]
        assert chain == sorted(chain)


def test_a_seed_more_changes_no_exact_ceiling() -> None:
    assert order_blind_ceiling("bounces", num_rivalries=1) == pytest.approx(1 / 3)
    assert order_blind_ceiling("bounces", num_rivalries=5) == pytest.approx(1 / 3)


def test_the_best_overlap_is_found() -> None:
    """No span of a fine grid overlaps more with the rivals' than the ceiling allows."""
    reached = []
    for seed in range(3):
        spans = [movie.questions[0].spans[0] for movie in make_rivals("span", seed=seed)]
        grid = np.arange(0, 4.45, 0.1)
        guesses = [(a, b) for a, b in product(grid, grid) if a < b]
        reached.append(max(np.mean([overlap(guess, span) for span in spans]) for guess in guesses))
    best = ceiling("span", "unordered", num_rivalries=3, by_overlap=True)
    assert best == pytest.approx(np.mean(reached), abs=1e-9)
    assert best > ceiling("span", "unordered", num_rivalries=3)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 2), (1, 3)) == pytest.approx(1 / 3)
    assert overlap((0, 1), (2, 3)) == 0
    assert overlap((1, 2), (1, 2)) == 1
