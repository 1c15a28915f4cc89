"""Is a score the mean over tasks, and honest about how sure it is?"""

from __future__ import annotations

import pytest

from flipbook.errors import DataError
from flipbook.evaluate.metrics import NO_TASK, Score, accuracy


def test_the_mean_is_over_tasks_not_over_questions() -> None:
    score = accuracy([("count", True), ("count", True), ("count", False), ("order", False)])
    assert score.tasks == {"count": pytest.approx(2 / 3), "order": 0.0}
    assert score.num_questions == {"count": 3, "order": 1}
    assert score.mean == pytest.approx(1 / 3)
    assert score.as_dict() == {"mean": score.mean, "count": score.tasks["count"], "order": 0.0}


def test_records_without_a_task_have_a_row_of_their_own() -> None:
    assert accuracy([(None, True), ("order", False)]).tasks == {NO_TASK: 1.0, "order": 0.0}


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ValueError, match="tasks"):
        accuracy([])


def test_a_task_called_mean_is_refused() -> None:
    with pytest.raises(DataError, match='the task "mean" has the name.*give it another name'):
        accuracy([("mean", True)])


def test_more_questions_make_a_smaller_standard_error() -> None:
    few = Score(tasks={"order": 1.0}, num_questions={"order": 5})
    many = Score(tasks={"order": 1.0}, num_questions={"order": 500})
    assert 0 < many.standard_error < 0.01 < few.standard_error < 0.2
