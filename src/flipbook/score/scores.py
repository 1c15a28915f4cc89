"""How good are the answers, task by task?

    Predictions  ->  Score: headline value for each task, their mean, 95 % intervals

The mean is over tasks, so a task with many questions weighs as much as one with few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from flipbook.data.extras import NAME_OF_AVERAGE
from flipbook.data.splitting.groups import join_rows
from flipbook.errors import DataError
from flipbook.score.intervals import estimate, mean_of_ratios
from flipbook.score.measure import Measure, mean_of
from flipbook.score.prediction import Prediction
from flipbook.score.questions import BETWEEN_VIDEOS

NO_TASK = "no_task"  # name given to the questions of records that name none
MEAN = NAME_OF_AVERAGE  # records with a task of this name are refused where they are read


@dataclass(frozen=True)
class Score:
    """Headline value in [0, 1] for each task, how sure it is, and what stands behind it.

    Attributes:
        tasks: value by task.
        num_questions: by task.
        num_videos: of all tasks together; videos that several tasks ask about count once.
        intervals: ends of the 95 % interval of each task and of "mean".

    Raises:
        ValueError: these do not have the same tasks, or there is none.
        DataError: a task is called "mean", which is the name of the average.
    """

    tasks: Mapping[str, float]
    num_questions: Mapping[str, int]
    num_videos: int
    intervals: Mapping[str, tuple[float, float]]

    def __post_init__(self) -> None:
        if self.tasks.keys() != self.num_questions.keys() or not self.tasks:
            raise ValueError(f"tasks {list(self.tasks)}, counts {list(self.num_questions)}")
        if MEAN in self.tasks:
            raise DataError(
                'the task "mean" has the name under which the average is reported; '
                'give it another name under "task" in the data file.'
            )
        if self.intervals.keys() != {MEAN, *self.tasks}:
            raise ValueError(f"tasks {list(self.tasks)}, intervals {list(self.intervals)}")

    @property
    def mean(self) -> float:
        """Mean of the values over tasks."""
        return math.fsum(self.tasks.values()) / len(self.tasks)

    def as_dict(self) -> dict[str, float]:
        """Return `mean` and one value per task, in one flat mapping."""
        return {MEAN: self.mean, **self.tasks}


def score_of(predictions: Sequence[Prediction]) -> Score:
    """Return the score of some predictions; tasks keep their first order.

    Raises:
        ValueError: there are no predictions.
        DataError: a task is called "mean".
    """
    by_task = by_name_of_task(predictions)
    tasks, intervals = {}, {}
    if predictions:
        whole = estimate(mean_over_tasks(predictions), videos_of(predictions))
        intervals[MEAN] = (whole.low, whole.high)
    for task, own in by_task.items():
        found = estimate(mean_of([item.value for item in own]), videos_of(own))
        tasks[task] = found.value
        intervals[task] = (found.low, found.high)
    return Score(
        tasks=tasks,
        num_questions={task: len(own) for task, own in by_task.items()},
        num_videos=len(set(videos_of(predictions))),
        intervals=intervals,
    )


def mean_over_tasks(predictions: Sequence[Prediction]) -> Measure:
    """Return the mean over tasks of the headline values; a task without questions is left out.

    stats: of a question of the second task of three, [0, 0, value, 1, 0, 0]

    Raises:
        ValueError: there are no predictions.
    """
    places = {task: place for place, task in enumerate(by_name_of_task(predictions))}
    stats = np.zeros((len(predictions), 2 * len(places)))
    for number, prediction in enumerate(predictions):
        column = 2 * places[task_of(prediction)]
        stats[number, column : column + 2] = prediction.value, 1.0
    return Measure(stats, mean_of_ratios)


def by_name_of_task(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """Return the predictions of each task; tasks in the order in which they first appear."""
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(task_of(prediction), []).append(prediction)
    return found


def task_of(prediction: Prediction) -> str:
    """Return the name under which a prediction's task is reported."""
    return prediction.task or NO_TASK


def videos_of(predictions: Sequence[Prediction]) -> list[str]:
    """Return what each prediction's video is: the clusters of intervals.

    Videos that a question shows together are one, and so are all that are joined by questions.
    """
    shown = [prediction.video.split(BETWEEN_VIDEOS) for prediction in predictions]
    if all(len(videos) == 1 for videos in shown):
        return [prediction.video for prediction in predictions]
    _, keys = np.unique(list(chain(*shown)), return_inverse=True)
    rows = np.repeat(np.arange(len(shown)), [len(videos) for videos in shown])
    joined = join_rows(len(shown), edge_rows=rows, edge_keys=keys.astype(np.uint64)).numbers
    _, first = np.unique(joined, return_index=True)
    return [predictions[first[number]].video for number in joined]
