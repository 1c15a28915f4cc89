"""Which clips need their frames in order to be understood?

    task, seed -> rivals: Movies with different answers, as alike as the task's idea allows

The rivals of a temporal task share one set of frames: what appears is what vanishes, played
backwards. A reader that ignores order can then do no better than to guess among the rivals;
`ceilings` counts how often such a guess is right. A new task is one function that returns its
rivals, plus a line in `MORE_TASKS` and one in `NEEDS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flipbook.data.generated import clocks, flashes, glimpses, motions, pairs
from flipbook.data.generated.movies import Movie, Random

Make = Callable[[Random], tuple[Movie, ...]]

# What the quickstart trains on. Their order numbers their seeds: it must not change.
TASKS: dict[str, Make] = {
    "direction": motions.direction,
    "order": flashes.order,
    "count": flashes.count,
    "appear": flashes.appear,
    "speed": motions.speed,
    "change": flashes.change,
    "when": flashes.when,
}
MORE_TASKS: dict[str, Make] = {
    "bounces": motions.bounces,
    "arrives": pairs.arrives,
    "faster": pairs.faster,
    "touches": pairs.touches,
    "duration": clocks.duration,
    "span": clocks.span,
    "last_frame": glimpses.last_frame,
    "colour": glimpses.colour,
}
SUITE_TASKS: dict[str, Make] = TASKS | MORE_TASKS

ORDER = "order"
TIMESTAMPS = "timestamps"
ORDER_AND_TIMESTAMPS = "order, timestamps"
LAST_FRAME = "last frame"
ONE_FRAME = "one frame"

# What a reader must know of the frames, beside what is on them.
NEEDS: dict[str, str] = {
    **dict.fromkeys(TASKS, ORDER),
    **dict.fromkeys(("bounces", "arrives", "faster", "touches"), ORDER),
    "duration": TIMESTAMPS,
    "span": ORDER_AND_TIMESTAMPS,
    "last_frame": LAST_FRAME,
    "colour": ONE_FRAME,
}


def make_rivals(task: str, *, seed: int) -> tuple[Movie, ...]:
    """Return the movies that compete, one for each answer; of temporal tasks, of the same frames.

    Raises:
        KeyError: `task` is none of `SUITE_TASKS`.
    """
    make = SUITE_TASKS[task]
    task_number = list(SUITE_TASKS).index(task)
    return make(np.random.default_rng([seed, task_number]))


def make_movie(task: str, *, seed: int) -> Movie:
    """Return one movie of a task; consecutive seeds take the rivals' answers in turn."""
    rivals = make_rivals(task, seed=seed)
    return rivals[seed % len(rivals)]
