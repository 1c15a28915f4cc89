"""Do the frames of the suite's clips give more away than they should?

    tasks, seed  ->  drawn movies  ->  a linear reader for each reading  ->  Probe

Ridge regression from pixels to answers, trained on one half of some movies and tested on the other,
knows nothing of any model. Where it reads frames without their order it must stay at chance in all
temporal tasks, and so must frames in order without instants where instants are needed; where one
frame tells, it must be above chance. What it does not show: that no cleverer reader of one frame
can answer, or that motion can be read at all. A linear reader may be blind to it even in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipbook.data.generated.asking import options_of
from flipbook.data.generated.ceilings import ceiling
from flipbook.data.generated.scenes import (
    LAST_FRAME,
    NEEDS,
    ONE_FRAME,
    ORDER,
    ORDER_AND_TIMESTAMPS,
    TIMESTAMPS,
    make_rivals,
)
from flipbook.data.generated.write import split_seed
from flipbook.evaluate.temporal.pixels import (
    READINGS,
    FloatArray,
    frame_numbers,
    time_numbers,
)

SPLIT = "train"  # no movie of the test is looked at
RIDGE = 1e-3  # of the mean square length of a row
BOUND = ("unordered", "untimed")  # readings whose ceilings no reader can beat
NO_BETTER_THAN_CHANCE: dict[str, tuple[str, ...]] = {
    ORDER: ("unordered",),
    TIMESTAMPS: ("unordered", "untimed"),
    ORDER_AND_TIMESTAMPS: ("unordered",),
    LAST_FRAME: (),
    ONE_FRAME: (),
}
TELLING = {LAST_FRAME: "last_frame", ONE_FRAME: "middle_frame"}
CHANCE_OF_A_SLIP = 1e-3  # of calling a sound suite unsound, over all that is checked


@dataclass(frozen=True)
class Reading:
    """How often a linear reader was right.

    Attributes:
        right, asked: questions.
        ceiling: what no reader of the same can beat.
        chance: what a guess among the rivals' answers reaches.
    """

    right: int
    asked: int
    ceiling: float
    chance: float

    @property
    def value(self) -> float:
        """The share of right answers."""
        return self.right / self.asked

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true share lies with a confidence of 95 %.

        Source: Wilson, Probable Inference (1927).
        """
        z, n, p = 1.96, self.asked, self.value
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(middle - half, 0.0), min(middle + half, 1.0)

    def luck(self, share: float) -> float:
        """Return how probable it is to be right as often, or more, when `share` are right."""
        return sum(
            math.comb(self.asked, k) * share**k * (1 - share) ** (self.asked - k)
            for k in range(self.right, self.asked + 1)
        )


@dataclass(frozen=True)
class Probe:
    """What linear readers found, by task and reading."""

    readings: Mapping[str, Mapping[str, Reading]]
    num_clips: int
    seed: int

    def faults(self) -> list[str]:
        """Return what is not as the suite claims, one sentence for each; empty for a sound one."""
        checked = [
            (task, name)
            for task, of_task in self.readings.items()
            for name in of_task
            if name in BOUND or name == TELLING.get(NEEDS[task])
        ]
        limit = CHANCE_OF_A_SLIP / max(len(checked), 1)
        return [
            text
            for task, name in checked
            if (text := _fault(task, name, self.readings[task][name], limit))
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return what probe.json holds."""
        tasks = {
            task: {
                "needs": NEEDS[task],
                "readings": {name: _reading_dict(reading) for name, reading in of_task.items()},
            }
            for task, of_task in self.readings.items()
        }
        facts = {"num_clips": self.num_clips, "seed": self.seed, "faults": self.faults()}
        return {**facts, "tasks": tasks}


def probe_tasks(
    tasks: Sequence[str],
    *,
    num_clips: int = 400,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Probe:
    """Return how well linear readers do on movies of some tasks, drawn for them.

    Args:
        tasks: some of `SUITE_TASKS`.
        num_clips: movies of each task, half of them to learn from. Of several questions about a
            movie the first is asked.
        seed: of the movies.

    Raises:
        ValueError: there are fewer than 4 movies.
    """
    if num_clips < 4:
        raise ValueError(f"num_clips is {num_clips}: half of 4 or more are to learn from")
    readings = {}
    for done, task in enumerate(tasks, start=1):
        readings[task] = _probe_task(task, num_clips=num_clips, seed=seed)
        if on_progress is not None:
            on_progress(done, len(tasks))
    return Probe(readings, num_clips, seed)


def _probe_task(task: str, *, num_clips: int, seed: int) -> dict[str, Reading]:
    frames, times, answers, options = [], [], [], []
    for number in range(num_clips):
        movie_seed = split_seed(SPLIT, seed=seed, number=number)
        rivals = make_rivals(task, seed=movie_seed)
        movie = rivals[movie_seed % len(rivals)]
        frames.append(frame_numbers(movie))
        times.append(time_numbers(movie))
        answers.append(movie.questions[0].answer)
        options.append(options_of(rivals, 0))
    chance = float(np.mean([1 / len(those) for those in options]))
    found = {}
    for name, read in READINGS.items():
        rows = read(np.stack(frames), np.stack(times))
        right = linear_reader_right(rows, answers, options)
        found[name] = Reading(int(right.sum()), len(right), ceiling(task, name), chance)
    return found


def linear_reader_right(
    rows: FloatArray, answers: Sequence[str], options: Sequence[Sequence[str]]
) -> NDArray[np.bool_]:
    """Return which questions of the second half a ridge regression on the first half gets right.

    Args:
        rows: float64 (N, K), what is read of each clip.
        answers: the right one of each.
        options: of each, among which the likeliest is taken; one that was no answer in the first
            half is the last to be taken.
    """
    words = sorted({option for those in options for option in those})
    place = {word: column for column, word in enumerate(words)}
    targets = np.eye(len(words))[[place[answer] for answer in answers]]
    cut = len(answers) // 2
    middle = targets[:cut].mean(axis=0)
    centred = rows - rows[:cut].mean(axis=0)
    gram = centred[:cut] @ centred[:cut].T
    gram += RIDGE * np.trace(gram) / cut * np.eye(cut)
    weights = np.linalg.solve(gram, targets[:cut] - middle)
    scores = middle + (centred[cut:] @ centred[:cut].T) @ weights  # (N - cut, words)
    scores[:, targets[:cut].sum(axis=0) == 0] = -np.inf
    guesses = [
        max(those, key=lambda option: float(row[place[option]]))  # noqa: B023
        for row, those in zip(scores, options[cut:], strict=True)
    ]
    return np.array([guess == answer for guess, answer in zip(guesses, answers[cut:], strict=True)])


def _fault(task: str, name: str, reading: Reading, limit: float) -> str | None:
    low, high = reading.interval
    told = f"a reader of '{name}' reaches {reading.value:.3f} [{low:.3f}, {high:.3f}]"
    if name not in BOUND:
        beyond_luck = reading.luck(reading.chance) < limit
        return None if beyond_luck else f"{task}: {told}, not above chance {reading.chance:.3f}"
    # What a task needs is a claim of ours: a generator that leaks raises the counted ceiling, too.
    claimed = reading.chance if name in NO_BETTER_THAN_CHANCE[NEEDS[task]] else reading.ceiling
    if reading.luck(claimed) < limit:
        return f"{task}: {told}, above the {claimed:.3f} that is claimed"
    return None


def _reading_dict(reading: Reading) -> dict[str, Any]:
    low, high = reading.interval
    return {
        "value": reading.value,
        "low": low,
        "high": high,
        "asked": reading.asked,
        "ceiling": reading.ceiling,
        "chance": reading.chance,
    }
