"""The suite's rivals are as alike as they say, and no more."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from flipbook.data.generated.motions import TOURS
from flipbook.data.generated.movies import MIDDLE_FRAME, NUM_FRAMES, Movie, Question
from flipbook.data.generated.pairs import DETOUR, VISIT
from flipbook.data.generated.scenes import (
    LAST_FRAME,
    MORE_TASKS,
    NEEDS,
    ONE_FRAME,
    ORDER,
    SUITE_TASKS,
    TASKS,
    make_movie,
    make_rivals,
)

UNIFORM = np.linspace(0, NUM_FRAMES - 1, 8, dtype=int)
OF_PAIRS = ("arrives", "faster", "touches")


def _counted(movie: Movie, frames: np.ndarray | None = None) -> Counter[object]:
    chosen = range(NUM_FRAMES) if frames is None else frames
    return Counter(movie.pictures[i] for i in chosen)


def test_every_task_says_what_it_needs() -> None:
    assert list(NEEDS) == list(SUITE_TASKS) == [*TASKS, *MORE_TASKS]


@pytest.mark.parametrize("task", [task for task in MORE_TASKS if NEEDS[task] == ORDER])
def test_rivals_of_order_share_their_frames_and_not_their_answers(task: str) -> None:
    for seed in range(10):
        rivals = make_rivals(task, seed=seed)
        first = rivals[0]
        assert all(_counted(movie) == _counted(first) for movie in rivals)
        assert all(_counted(movie, UNIFORM) == _counted(first, UNIFORM) for movie in rivals)
        assert len({movie.questions[0].answer for movie in rivals}) == len(rivals)
        assert len({movie.questions[0].text for movie in rivals}) == 1
        seen = {tuple(movie.pictures[i] for i in UNIFORM) for movie in rivals}
        assert len(seen) == len(rivals)  # 8 frames in order tell them apart


@pytest.mark.parametrize("task", ["bounces", *OF_PAIRS])
def test_the_middle_frame_is_the_same_for_all_rivals(task: str) -> None:
    for seed in range(10):
        rivals = make_rivals(task, seed=seed)
        assert len({movie.pictures[MIDDLE_FRAME] for movie in rivals}) == 1


@pytest.mark.parametrize("task", ["faster", "touches"])
def test_so_are_the_first_and_the_last(task: str) -> None:
    for seed in range(10):
        rivals = make_rivals(task, seed=seed)
        assert len({(movie.pictures[0], movie.pictures[-1]) for movie in rivals}) == 1


def test_tours_turn_as_often_as_they_say() -> None:
    for (_, tour), num_turns in zip(TOURS.items(), (1, 2, 3), strict=True):
        assert sorted(tour) == list(range(NUM_FRAMES))
        assert max(abs(b - a) for a, b in pairwise(tour)) <= 6
        for places in (tour, [tour[i] for i in UNIFORM]):
            signs = [np.sign(b - a) for a, b in pairwise(places)]
            assert sum(a != b for a, b in pairwise(signs)) == num_turns
    ends = [(tour[0], tour[MIDDLE_FRAME], tour[-1]) for tour in TOURS.values()]
    assert ends == [(0, 13, 1), (0, 13, 20), (0, 13, 1)]


def test_a_detour_and_a_visit_are_what_they_say() -> None:
    assert sorted(DETOUR) == list(range(10))
    assert sorted(DETOUR[::3]) == [0, 3, 6, 9]
    assert VISIT[::-1] == VISIT


def test_of_a_duration_only_the_rate_differs() -> None:
    for seed in range(10):
        rivals = make_rivals("duration", seed=seed)
        assert len({movie.pictures for movie in rivals}) == 1
        empty = Counter(not picture.shapes for picture in rivals[0].pictures)
        for movie in rivals:
            seconds = int(movie.questions[0].answer.split()[0])
            assert empty[False] / movie.frames_per_s == seconds
    lengths = {make_movie("duration", seed=seed).frames_per_s for seed in range(60)}
    assert len(lengths) == 7  # 1.5, 2.25, 3, 4.5, 6, 9 and 12: the length of a clip does not tell


def test_a_span_is_where_the_shape_is() -> None:
    for seed in range(12):
        rivals = make_rivals("span", seed=seed)
        assert len(rivals) == len({movie.questions[0].answer for movie in rivals}) == 6
        for movie in rivals:
            lit = [place for place, picture in enumerate(movie.pictures) if picture.shapes]
            ((start, end),) = movie.questions[0].spans
            assert start == pytest.approx(lit[0] / movie.frames_per_s)
            assert end == pytest.approx((lit[-1] + 1) / movie.frames_per_s)
            assert movie.questions[0].answer == f"From {start:.1f} to {end:.1f} seconds."
            assert round(start, 1) == start  # nothing is lost in the words
            assert round(end, 1) == end


def test_the_last_frame_alone_tells_what_it_should() -> None:
    for seed in range(10):
        rivals = make_rivals("last_frame", seed=seed)
        assert len({movie.pictures[:-2] for movie in rivals}) == 1
        for movie in rivals:
            (shape,) = movie.pictures[-1].shapes
            assert shape.colour == movie.questions[0].answer
    assert NEEDS["last_frame"] == LAST_FRAME


def test_every_frame_tells_the_colour() -> None:
    for movie in make_rivals("colour", seed=3):
        assert {p.shapes[0].colour for p in movie.pictures} == {movie.questions[0].answer}
    assert NEEDS["colour"] == ONE_FRAME


@pytest.mark.parametrize("task", OF_PAIRS)
def test_the_answer_is_what_the_paths_say(task: str) -> None:
    for seed in range(10):
        for movie in make_rivals(task, seed=seed):
            assert movie.questions[0].answer == _winner(task, movie)


def _winner(task: str, movie: Movie) -> str:
    """Return the colour that an onlooker would name, from where shapes are."""
    colours = [shape.colour for shape in movie.pictures[0].shapes]
    places = np.array([[(s.x, s.y) for s in picture.shapes] for picture in movie.pictures])
    steps = np.abs(np.diff(places, axis=0)).sum(axis=2)  # (T - 1, 2)
    if task == "faster":
        return colours[int(steps.sum(axis=0).argmax())]
    moves = [np.flatnonzero(steps[:, one]) for one in (0, 1)]
    when = [move[-1] for move in moves] if task == "arrives" else [move[0] for move in moves]
    return colours[int(np.argmin(when))]


def test_shapes_touch_when_they_visit() -> None:
    for seed in range(10):
        movie = make_rivals("touches", seed=seed)[0]
        gaps = []
        for picture in movie.pictures:
            one, other = picture.shapes
            gaps.append(np.hypot(one.x - other.x, one.y - other.y) - one.radius - other.radius)
        assert gaps[0] > 8  # px, apart
        assert min(gaps[:11]) < 0
        assert min(gaps[11:]) < 0


@pytest.mark.parametrize("task", MORE_TASKS)
def test_shapes_stay_inside_the_frame(task: str) -> None:
    for seed in range(10):
        for picture in make_movie(task, seed=seed).pictures:
            for shape in picture.shapes:
                assert shape.radius - 1e-3 <= shape.x <= 128 - shape.radius + 1e-3
                assert shape.radius - 1e-3 <= shape.y <= 128 - shape.radius + 1e-3


@pytest.mark.parametrize("task", MORE_TASKS)
def test_answers_are_balanced(task: str) -> None:
    rivals = make_rivals(task, seed=0)
    taken = Counter(
        [m.questions for m in make_rivals(task, seed=seed)].index(
            make_movie(task, seed=seed).questions
        )
        for seed in range(60)
    )
    assert set(taken.values()) == {60 // len(rivals)}


def test_a_movie_needs_its_pictures_and_a_question() -> None:
    movie = make_movie("colour", seed=0)
    with pytest.raises(ValueError, match="a movie has 22 pictures and a question, not 3 and 1"):
        Movie(movie.pictures[:3], movie.questions)
    with pytest.raises(ValueError, match="not 22 and 0"):
        Movie(movie.pictures, ())
    assert Question("a", "b", "c").spans == ()


def test_unknown_tasks_are_refused() -> None:
    with pytest.raises(KeyError, match="bounce"):
        make_rivals("bounce", seed=0)
