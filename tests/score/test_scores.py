"""Is a score the mean over tasks, and honest about how sure it is?"""

from __future__ import annotations

import pytest

from fixtures_predictions import make_prediction, make_predictions
from flipbook.errors import DataError
from flipbook.score.scores import NO_TASK, Score, mean_over_tasks, score_of, videos_of


def test_the_mean_is_over_tasks_not_over_questions() -> None:
    score = score_of([*make_predictions([1, 1, 0], task="count"), make_prediction("x", 0)])
    assert score.tasks == {"count": pytest.approx(2 / 3), "order": 0.0}
    assert score.num_questions == {"count": 3, "order": 1}
    assert score.mean == pytest.approx(1 / 3)
    assert score.as_dict() == {"mean": score.mean, "count": score.tasks["count"], "order": 0.0}


def test_a_value_may_lie_between_right_and_wrong() -> None:
    assert score_of(make_predictions([0.5, 0.25])).tasks == {"order": 0.375}


def test_records_without_a_task_have_a_row_of_their_own() -> None:
    score = score_of([make_prediction("a", 1, task=None), make_prediction("b", 0)])
    assert score.tasks == {NO_TASK: 1.0, "order": 0.0}


def test_a_video_that_two_tasks_ask_about_is_one() -> None:
    score = score_of(
        [
            make_prediction("a", 1, task="order", video="v"),
            make_prediction("b", 1, task="count", video="v"),
            make_prediction("c", 1, task="count", video="w"),
        ]
    )
    assert score.num_videos == 2


def test_videos_that_questions_show_together_are_one() -> None:
    videos = ["a + b", "c", "b + d", "d", "e f", "e"]
    told = videos_of([make_prediction(f"r{n}", 1, video=video) for n, video in enumerate(videos)])
    assert told == ["a + b", "c", "a + b", "a + b", "e f", "e"]


def test_every_task_and_the_mean_have_an_interval_around_them() -> None:
    score = score_of(
        [
            *make_predictions([1, 0, 1, 1, 0, 1, 1], task="count"),
            *make_predictions([1, 1, 1, 1, 1], task="order"),
        ]
    )
    assert list(score.intervals) == ["mean", "count", "order"]
    for name, value in score.as_dict().items():
        low, high = score.intervals[name]
        assert low < value <= high


def test_more_videos_make_a_narrower_interval() -> None:
    few, many = (score_of(make_predictions([1, 0] * times)) for times in (5, 500))
    (low, high), (narrow_low, narrow_high) = few.intervals["mean"], many.intervals["mean"]
    assert high - low > 0.4
    assert narrow_high - narrow_low < 0.08


def test_a_task_that_a_draw_does_not_have_is_no_part_of_its_mean() -> None:
    measure = mean_over_tasks([make_prediction("a", 1), make_prediction("b", 0.5, task="count")])
    assert measure.value == 0.75
    assert measure.combine(measure.stats[0]) == 1.0
    assert measure.combine(measure.stats[1]) == 0.5


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ValueError, match="tasks"):
        score_of([])


def test_a_task_called_mean_is_refused() -> None:
    with pytest.raises(DataError, match='the task "mean" has the name.*give it another name'):
        score_of([make_prediction("a", 1, task="mean")])


def test_an_interval_for_each_value_is_needed() -> None:
    with pytest.raises(ValueError, match="intervals"):
        Score(tasks={"order": 1.0}, num_questions={"order": 1}, num_videos=1, intervals={})
