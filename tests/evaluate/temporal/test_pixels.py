"""Each reading holds what it says, and nothing of what it leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from flipbook.data.generated.movies import draw_movie
from flipbook.data.generated.scenes import make_rivals
from flipbook.evaluate.temporal.pixels import READINGS, SIDE, frame_numbers, time_numbers


def _read(reading: str, task: str, *, seed: int = 3) -> list[np.ndarray]:
    rivals = make_rivals(task, seed=seed)
    frames = np.stack([frame_numbers(movie) for movie in rivals])
    times = np.stack([time_numbers(movie) for movie in rivals])
    return list(READINGS[reading](frames, times))


def test_cells_are_mean_colours_of_the_drawn_frame() -> None:
    movie = make_rivals("order", seed=1)[0]
    numbers = frame_numbers(movie)
    assert numbers.shape == (8, SIDE * SIDE * 3 + 6)
    frame = draw_movie(movie)[15].astype(float) / 255
    cell = frame[8:16, 40:48].mean(axis=(0, 1))
    at = (1 * SIDE + 5) * 3
    assert np.allclose(numbers[5, at : at + 3], cell)


@pytest.mark.parametrize("task", ["bounces", "faster", "direction"])
def test_without_order_rivals_read_alike(task: str) -> None:
    first, *others = _read("unordered", task)
    assert all(np.array_equal(first, other) for other in others)
    assert not np.array_equal(*_read("untimed", task)[:2])


def test_without_instants_durations_read_alike() -> None:
    first, *others = _read("untimed", "duration")
    assert all(np.array_equal(first, other) for other in others)
    timed = _read("timed", "duration")
    assert [len(row) for row in timed] == [len(first) + 1] * 3
    assert len({row[-1] for row in timed}) == 3


def test_one_frame_is_the_one_it_says() -> None:
    frames = np.arange(8.0).reshape(1, 8, 1)
    times = np.zeros((1, 1))
    assert READINGS["last_frame"](frames, times).tolist() == [[7]]
    assert READINGS["middle_frame"](frames, times).tolist() == [[4]]  # as the control shows it
    assert READINGS["unordered"](frames[:, ::-1], times).tolist() == [list(range(8))]
