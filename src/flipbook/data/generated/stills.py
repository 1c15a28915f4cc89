"""What can be asked about one picture?

    task, seed -> a picture and its questions

These are the questions an image-trained checkpoint starts from, and the ones a video run replays
and is tested on afterwards, so that learning to watch does not unlearn to look. A new task is one
function that asks about a shape, plus one line in `STILL_TASKS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flipbook.data.generated.movies import Question
from flipbook.data.generated.shapes import (
    FRAME_SIZE,
    Picture,
    Shape,
    random_background,
    random_shape,
)

CLEARANCE = 6  # px from the middle line: nearer than that, "left" and "right" are both fair


def make_still(task: str, *, seed: int) -> tuple[Picture, Question]:
    """Return a picture of one shape and a question of the named task about it."""
    task_number = list(STILL_TASKS).index(task)
    random = np.random.default_rng([seed, task_number, 1])
    shape = random_shape(random)
    while min(abs(shape.x - FRAME_SIZE / 2), abs(shape.y - FRAME_SIZE / 2)) < CLEARANCE:
        shape = random_shape(random)
    picture = Picture(random_background(random), (shape,))
    return picture, _ask(task, shape)


def ask_everything(picture: Picture) -> tuple[Question, ...]:
    """Return one question of every task about the first shape of a picture."""
    return tuple(_ask(task, picture.shapes[0]) for task in STILL_TASKS)


def _ask(task: str, shape: Shape) -> Question:
    text, answer = STILL_TASKS[task](shape)
    return Question(task, text, answer)


def _colour(shape: Shape) -> tuple[str, str]:
    return f"What colour is the {shape.kind}?", shape.colour


def _side(shape: Shape) -> tuple[str, str]:
    answer = "left" if shape.x < FRAME_SIZE / 2 else "right"
    return f"Is the {shape.name} on the left or on the right?", answer


def _height(shape: Shape) -> tuple[str, str]:
    answer = "top" if shape.y < FRAME_SIZE / 2 else "bottom"
    return f"Is the {shape.name} at the top or at the bottom?", answer


STILL_TASKS: dict[str, Callable[[Shape], tuple[str, str]]] = {
    "colour": _colour,
    "side": _side,
    "height": _height,
}
