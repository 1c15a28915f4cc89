"""How often were the answers right?

    tasks and verdicts of single questions  ->  Score: accuracy for each task, and their mean

The mean is over tasks, so a task with many questions weighs as much as one with few.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flipbook.errors import DataError

NO_TASK = "no_task"  # name given to the questions of records that name none
MEAN = "mean"


@dataclass(frozen=True)
class Score:
    """Accuracy in [0, 1] for each task and how many questions stand behind it.

    Raises:
        ValueError: the two do not have the same tasks, or there is none.
        DataError: a task is called "mean", which is the name of the average.
    """

    tasks: Mapping[str, float]
    num_questions: Mapping[str, int]

    def __post_init__(self) -> None:
        if self.tasks.keys() != self.num_questions.keys() or not self.tasks:
            raise ValueError(f"tasks {list(self.tasks)}, counts {list(self.num_questions)}")
        if MEAN in self.tasks:
            raise DataError(
                'the task "mean" has the name under which the average is reported; '
                'give it another name under "task" in the data file.'
            )

    @property
    def mean(self) -> float:
        """Mean of the accuracies over tasks."""
        return math.fsum(self.tasks.values()) / len(self.tasks)

    @property
    def standard_error(self) -> float:
        """Standard error of `mean`, from the binomial variance of each task.

        Estimated from (right + 1) / (n + 2), so that ten of ten is not taken for certain.
        Source: Agresti and Coull, "Approximate is better than exact", 1998, with z^2 / 2 = 1.
        """
        variance = 0.0
        for task, accuracy in self.tasks.items():
            count = self.num_questions[task]
            share = (accuracy * count + 1) / (count + 2)
            variance += share * (1 - share) / (count + 2)
        return math.sqrt(variance) / len(self.tasks)

    def as_dict(self) -> dict[str, float]:
        """Return `mean` and one value per task, in one flat mapping."""
        return {MEAN: self.mean, **self.tasks}


def accuracy(verdicts: Iterable[tuple[str | None, bool]]) -> Score:
    """Return the score of (task, was the answer right) pairs; tasks keep their first order.

    Raises:
        ValueError: there are no pairs.
    """
    by_task: dict[str, list[bool]] = defaultdict(list)
    for task, correct in verdicts:
        by_task[task or NO_TASK].append(correct)
    return Score(
        tasks={task: sum(values) / len(values) for task, values in by_task.items()},
        num_questions={task: len(values) for task, values in by_task.items()},
    )
