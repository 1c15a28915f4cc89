"""Which questions are about how one shape moves?

random  ->  rivals: Movies made of the same frames in different orders

direction   a path, and the same path from its end to its beginning
speed       the same, with steps that grow or shrink
bounces     a tour of 22 places between two edges; every rival stands once on each of them
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flipbook.data.generated.movies import (
    NUM_FRAMES,
    Movie,
    Question,
    Random,
    Stages,
    on_one_background,
)
from flipbook.data.generated.shapes import (
    FRAME_SIZE,
    Picture,
    Shape,
    random_background,
    random_shape,
)

# The place at each frame, 0 at one edge and 21 at the other. Found by search, with steps of 6 at
# most: every tour stands once on each place, begins at 0 and is at 13 in the middle frame, and 8
# uniform frames show the same 8 places. "two" must end at the other edge; tours are mirrored at
# random, so that the last frame alone does not tell.
TOURS: dict[str, tuple[int, ...]] = {
    "one": (0, 4, 8, 12, 14, 17, 20, 21, 19, 18, 16, 15, 13, 11, 10, 9, 7, 6, 5, 3, 2, 1),
    "two": (0, 2, 3, 5, 8, 11, 12, 15, 16, 18, 21, 19, 13, 10, 6, 1, 4, 7, 9, 14, 17, 20),
    "three": (0, 3, 6, 9, 11, 14, 20, 16, 10, 5, 2, 7, 13, 19, 21, 18, 17, 15, 12, 8, 4, 1),
}


def direction(random: Random) -> tuple[Movie, ...]:
    """Return two movies of a shape that moves evenly: which way?"""
    return _moving(random, np.linspace(0, 1, NUM_FRAMES), _direction_question)


def speed(random: Random) -> tuple[Movie, ...]:
    """Return two movies of a shape that speeds up or slows down: which, and which way?"""
    share = np.linspace(0, 1, NUM_FRAMES) ** random.uniform(3.0, 4.0)
    share = share if random.random() < 0.5 else 1 - share[::-1]
    return _moving(random, share, _speed_question, _direction_question)


def bounces(random: Random) -> tuple[Movie, ...]:
    """Return three movies of a shape that runs from edge to edge: how often does it bounce?"""
    shape = random_shape(random)
    text = f"How many times does the {shape.name} bounce?"
    sideways, mirrored = random.random() < 0.5, random.random() < 0.5
    step = (FRAME_SIZE - 2 * shape.radius) / (NUM_FRAMES - 1)  # px
    movies: list[Stages] = []
    for answer, tour in TOURS.items():
        places = [NUM_FRAMES - 1 - place for place in tour] if mirrored else tour
        along = [round(shape.radius + step * place, 3) for place in places]
        shown = [shape.at(x=a, y=shape.y) if sideways else shape.at(x=shape.x, y=a) for a in along]
        movies.append(([(one,) for one in shown], (Question("bounces", text, answer),)))
    return on_one_background(random, movies)


def _moving(
    random: Random,
    share: NDArray[np.float64],
    *questions: Callable[[Shape, Shape, Shape, Shape], Question],
) -> tuple[Movie, ...]:
    """Return a movie of one shape on a straight path, `share` of it behind it, and its reversal."""
    shape = random_shape(random, margin=10)
    length = random.uniform(0.6, 1.0) * (FRAME_SIZE - 2 * (shape.radius + 4))
    start = random.uniform(shape.radius + 4, FRAME_SIZE - shape.radius - 4 - length)
    along = np.round(start + length * share, 3)
    sideways = random.random() < 0.5
    background = random_background(random)
    steps = [shape.at(x=a, y=shape.y) if sideways else shape.at(x=shape.x, y=a) for a in along]
    movies = []
    for path in (steps, steps[::-1]):
        asked = tuple(ask(path[0], path[1], path[-2], path[-1]) for ask in questions)
        movies.append(Movie(tuple(Picture(background, (step,)) for step in path), asked))
    return tuple(movies)


def _direction_question(first: Shape, second: Shape, last_but_one: Shape, last: Shape) -> Question:
    sideways, downwards = last.x - first.x, last.y - first.y
    if abs(sideways) > abs(downwards):
        answer = "right" if sideways > 0 else "left"
    else:
        answer = "down" if downwards > 0 else "up"
    return Question("direction", f"Which way does the {first.name} move?", answer)


def _speed_question(first: Shape, second: Shape, last_but_one: Shape, last: Shape) -> Question:
    early = abs(second.x - first.x) + abs(second.y - first.y)
    late = abs(last.x - last_but_one.x) + abs(last.y - last_but_one.y)
    answer = "speeds up" if late > early else "slows down"
    return Question("speed", f"Does the {first.name} speed up or slow down?", answer)
