"""Which of two evaluations is better, and can their questions tell?

    Predictions A, Predictions B  ->  questions of both, paired  ->  Comparison

Differences are B minus A. The mean over tasks is the one comparison that was meant from the start;
p-values of tasks are made larger by their number (Holm), for of twenty tasks one differs by chance.

Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from flipbook.data.parts import shown
from flipbook.errors import DataError
from flipbook.evaluate.differences import in_plain_text, is_above, is_below, paired
from flipbook.score.intervals import Difference, difference
from flipbook.score.kinds.table import measures_of
from flipbook.score.measure import Measure, mean_of
from flipbook.score.prediction import Prediction
from flipbook.score.scores import by_name_of_task, mean_over_tasks, task_of, videos_of

FEWEST_SHARED = 2
FEW_LETTERS = 20  # that are shown of what two texts share before they differ
Pair = tuple[Prediction, Prediction]


@dataclass(frozen=True)
class Compared:
    """One number of both, and how far they are apart.

    Attributes:
        first, second: the value in A and in B.
        difference: B minus A.
        p_holm: its p-value among those of all tasks; None where it is none of a task.
    """

    first: float
    second: float
    difference: Difference
    p_holm: float | None = None

    def as_dict(self) -> dict[str, float]:
        """Return the values as JSON has them."""
        values = {"a": self.first, "b": self.second, **self.difference.as_dict()}
        if self.p_holm is not None:
            values["p_holm"] = self.p_holm
        return values | {"num_questions": self.difference.num_questions}


@dataclass(frozen=True)
class Comparison:
    """Two evaluations on the questions that both have.

    Attributes:
        mean: headline value, mean over tasks.
        tasks: headline value by task.
        kinds: by kind of question, each measure by name.
        num_only_first, num_only_second: questions that the other does not have.
    """

    mean: Compared
    tasks: dict[str, Compared]
    kinds: dict[str, dict[str, Compared]]
    num_only_first: int
    num_only_second: int

    @property
    def num_questions(self) -> int:
        """How many are in both."""
        return self.mean.difference.num_questions

    @property
    def num_videos(self) -> int:
        """What the questions in both are about."""
        return self.mean.difference.num_clusters

    @property
    def sentence(self) -> str:
        """Which is better, or that these questions cannot tell."""
        apart = self.mean.difference
        told = (
            f"difference {apart.value:+.3f}, 95 % interval {apart.low:+.3f} to {apart.high:+.3f}, "
            f"{in_plain_text(apart.p_value)}"
        )
        if is_above(apart):
            return f"B is better: {self.mean.second:.3f} against {self.mean.first:.3f} ({told})."
        if is_below(apart):
            return f"A is better: {self.mean.first:.3f} against {self.mean.second:.3f} ({told})."
        return (
            f"{self.num_questions} questions about {self.num_videos} videos cannot tell which is "
            f"better ({told})."
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {
            "num_questions": self.num_questions,
            "num_videos": self.num_videos,
            "only_in_a": self.num_only_first,
            "only_in_b": self.num_only_second,
            "mean": self.mean.as_dict(),
            "tasks": {task: own.as_dict() for task, own in self.tasks.items()},
            "kinds": {
                kind: {name: own.as_dict() for name, own in measures.items()}
                for kind, measures in self.kinds.items()
            },
            "sentence": self.sentence,
        }


def compare(first: Sequence[Prediction], second: Sequence[Prediction]) -> Comparison:
    """Return the comparison of two evaluations, by the questions that both have.

    Raises:
        DataError: fewer than two are in both, or one of them has another question, reference, kind,
            task or clip.
    """
    left, right = paired(first, second)
    if len(left) < FEWEST_SHARED:
        raise DataError(
            f"A has {len(first)} questions, B has {len(second)}, and {len(left)} in common: to "
            f"compare takes {FEWEST_SHARED} or more. Evaluate both on the same records."
        )
    for pair in zip(left, right, strict=True):
        _check_same_question(*pair)
    pairs = [_with_same_options(*pair) for pair in zip(left, right, strict=True)]
    return Comparison(
        mean=_compared(mean_over_tasks(left), mean_over_tasks(right), videos_of(left)),
        tasks=_tasks(pairs),
        kinds=_kinds(pairs),
        num_only_first=len(first) - len(left),
        num_only_second=len(second) - len(left),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the same order.

    0.01 0.04 0.03  ->  0.03 0.06 0.06
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min((len(p_values) - rank) * p_values[place], 1.0))
        corrected[place] = largest
    return corrected


def _check_same_question(first: Prediction, second: Prediction) -> None:
    for name in ("question", "reference", "kind", "task", "video"):
        own, other = getattr(first, name), getattr(second, name)
        if own == other or (name == "video" and are_same_clips(own, other)):
            continue
        told = _from_where_they_differ(own, other)
        raise DataError(
            f"record {first.record_id}, question {first.number}: its {name} is {shown(told[0])} in "
            f"A and {shown(told[1])} in B. Evaluate both on the same records."
        )


def are_same_clips(first: str, second: str) -> bool:
    """Whether names of clips in two evaluations may mean the same files in other folders.

    "b.mp4"              "a/b.mp4"            ->  True     files begin behind what all share
    "one/b.mp4"          "two/b.mp4"          ->  True
    "b.mp4"              "c.mp4"              ->  False
    "one/b.mp4 one/c.mp4"  "b.mp4 c.mp4"      ->  True     a record of two clips
    """
    short, long = sorted((first, second), key=len)
    return long.endswith(f"/{short}") or _files_of(first) == _files_of(second)


def _files_of(video: str) -> str:
    return re.sub(r"\S*/", "", video)


def _from_where_they_differ(first: str | None, second: str | None) -> tuple[str | None, str | None]:
    """Return two texts without most of what they share at their beginning, where that is long."""
    start = len(os.path.commonprefix([first or "", second or ""])) - FEW_LETTERS
    if start <= 0 or first is None or second is None:
        return first, second
    return f"...{first[start:]}", f"...{second[start:]}"


def _with_same_options(first: Prediction, second: Prediction) -> Pair:
    """Return two predictions whose options are those that either tells of, in one order.

    Files tell of the most likely options alone, which differ between models.
    """
    options = tuple(dict.fromkeys((*first.options, *second.options)))
    return _with_options(first, options), _with_options(second, options)


def _with_options(prediction: Prediction, options: tuple[str, ...]) -> Prediction:
    def moved(place: int | None) -> int | None:
        return None if place is None else options.index(prediction.options[place])

    return replace(
        prediction,
        options=options,
        option_log_likelihoods=(),  # of some options alone; what they tell is among the measures
        right_option=moved(prediction.right_option),
        choice=moved(prediction.choice),
    )


def _tasks(pairs: Sequence[Pair]) -> dict[str, Compared]:
    found = {}
    for task in by_name_of_task([first for first, _ in pairs]):
        own = [pair for pair in pairs if task_of(pair[0]) == task]
        first, second = (mean_of([pair[side].value for pair in own]) for side in (0, 1))
        found[task] = _compared(first, second, videos_of([pair[0] for pair in own]))
    corrected = holm([own.difference.p_value for own in found.values()])
    return {
        task: replace(own, p_holm=p_value)
        for (task, own), p_value in zip(found.items(), corrected, strict=True)
    }


def _kinds(pairs: Sequence[Pair]) -> dict[str, dict[str, Compared]]:
    """Return each measure of each kind that says something about both."""
    found: dict[str, dict[str, Compared]] = {}
    for kind in dict.fromkeys(first.kind for first, _ in pairs):
        own = [pair for pair in pairs if pair[0].kind == kind]
        videos = videos_of([first for first, _ in own])
        first, second = (measures_of([pair[side] for pair in own]) for side in (0, 1))
        found[kind] = {
            name: _compared(first[name], second[name], videos)
            for name in first
            if name in second and _says_something(first[name]) and _says_something(second[name])
        }
    return found


def _compared(first: Measure, second: Measure, videos: Sequence[str]) -> Compared:
    return Compared(first.value, second.value, difference(second, first, videos))


def _says_something(measure: Measure) -> bool:
    return not math.isnan(measure.value)
