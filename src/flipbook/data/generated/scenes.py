"""Which clips need their frames in order to be understood?

    task, seed -> rivals: Movies made of the same frames in different orders, with different answers
    movie      -> frames (T, S, S, 3) uint8

The competing answers of a task share one set of frames: what appears is what vanishes, played
backwards. A reader that ignores order can then do no better than to guess among the rivals, and
`order_blind_ceiling` counts how often such a guess is right. A new task is one function that
returns its rivals, plus one line in `TASKS`.

    appear    . . . o o o o o          count 1   . . o o o . . .
    vanish    o o o o o . . .          count 2   . o o . . o . .
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flipbook.data.generated.shapes import (
    FRAME_SIZE,
    Picture,
    Shape,
    draw_picture,
    random_background,
    random_shape,
)

NUM_FRAMES = 22  # (22 - 1) / 7 is whole: 8 uniform frames of a clip are also those of its reversal
FRAMES_PER_S = 8
NUM_BEATS = 8  # a beat is the stretch of frames nearest to one of 8 uniform frames

# In frames. Every choice lights the same number of frames, and of the 8 uniform ones too.
FLASHES: tuple[dict[str, tuple[int, int]], ...] = (
    {"start": (0, 6), "middle": (8, 14), "end": (16, 22)},
    {"start": (2, 5), "middle": (8, 11), "end": (17, 20)},
    {"start": (2, 5), "middle": (11, 14), "end": (17, 20)},
)
# In beats, away from the first and last, which are a frame shorter than the others.
BLINKS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "one": ((1, 2, 3), (2, 3, 4), (3, 4, 5), (4, 5, 6)),
    "two": ((1, 2, 4), (1, 2, 5), (1, 3, 4), (2, 3, 5), (2, 3, 6), (2, 4, 5), (3, 5, 6), (1, 5, 6)),
    "three": ((1, 3, 5), (1, 3, 6), (1, 4, 6), (2, 4, 6)),
}

Random = np.random.Generator
Stages = tuple[list[tuple[Shape, ...]], tuple["Question", ...]]  # shapes frame by frame


@dataclass(frozen=True)
class Question:
    """One question about a clip or a picture, its one right answer, and the skill it needs."""

    task: str
    text: str
    answer: str


@dataclass(frozen=True)
class Movie:
    """What stands on each frame of a clip, and what can be asked about it."""

    pictures: tuple[Picture, ...]
    questions: tuple[Question, ...]

    def __post_init__(self) -> None:
        if len(self.pictures) != NUM_FRAMES or not self.questions:
            raise ValueError(
                f"a movie has {NUM_FRAMES} pictures and a question, "
                f"not {len(self.pictures)} and {len(self.questions)}"
            )


def make_rivals(task: str, *, seed: int) -> tuple[Movie, ...]:
    """Return the movies that share one set of frames, one for each competing answer."""
    task_number = list(TASKS).index(task)
    return TASKS[task](np.random.default_rng([seed, task_number]))


def make_movie(task: str, *, seed: int) -> Movie:
    """Return one movie of a task; consecutive seeds take the rivals' answers in turn."""
    rivals = make_rivals(task, seed=seed)
    return rivals[seed % len(rivals)]


def draw_movie(movie: Movie) -> NDArray[np.uint8]:
    """Return the frames of a movie, uint8 RGB of shape (T, S, S, 3)."""
    drawn = {picture: draw_picture(picture) for picture in set(movie.pictures)}
    return np.stack([drawn[picture] for picture in movie.pictures])  # (T, S, S, 3)


def order_blind_ceiling(task: str, *, num_rivalries: int = 32) -> float:
    """Return the accuracy that no reader of unordered frames can beat on the task's questions.

    Such a reader gets the same input for every rival, so its best answer to a question is the one
    most rivals share.
    """
    right, asked = 0, 0
    for seed in range(num_rivalries):
        answers: dict[tuple[object, str, str], Counter[str]] = {}
        for movie in make_rivals(task, seed=seed):
            unordered = frozenset(Counter(movie.pictures).items())
            for question in movie.questions:
                key = (unordered, question.task, question.text)
                answers.setdefault(key, Counter())[question.answer] += 1
        right += sum(max(counter.values()) for counter in answers.values())
        asked += sum(counter.total() for counter in answers.values())
    return right / asked


def _direction(random: Random) -> tuple[Movie, ...]:
    return _moving(random, np.linspace(0, 1, NUM_FRAMES), _direction_question)


def _speed(random: Random) -> tuple[Movie, ...]:
    share = np.linspace(0, 1, NUM_FRAMES) ** random.uniform(3.0, 4.0)
    share = share if random.random() < 0.5 else 1 - share[::-1]
    return _moving(random, share, _speed_question, _direction_question)


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


def _order(random: Random) -> tuple[Movie, ...]:
    earlier, later = _two_colours(random)
    lit = int(random.integers(4, 9))  # frames; both stand equally long, with nothing in between
    wait = int(random.integers(0, 9 - lit))
    movies: list[Stages] = []
    for first, last in ((earlier, later), (later, earlier)):
        stages: list[tuple[Shape, ...]] = [()] * NUM_FRAMES
        stages[wait : wait + lit] = [(first,)] * lit
        stages[NUM_FRAMES - wait - lit : NUM_FRAMES - wait] = [(last,)] * lit
        questions = (
            Question("order", "Which colour comes first?", first.colour),
            Question("order", "Which colour comes last?", last.colour),
        )
        movies.append((stages, questions))
    return _on_one_background(random, movies)


def _change(random: Random) -> tuple[Movie, ...]:
    one, other = _two_colours(random)
    moment = int(random.integers(5, NUM_FRAMES - 4))  # frames of the first colour
    movies: list[Stages] = []
    for first, last in ((one, other), (other, one)):
        num_first = moment if first is one else NUM_FRAMES - moment
        questions = (
            Question("change", f"What colour is the {one.kind} at the beginning?", first.colour),
            Question("change", f"What colour does the {one.kind} turn into?", last.colour),
        )
        shown = [first] * num_first + [last] * (NUM_FRAMES - num_first)
        stages: list[tuple[Shape, ...]] = [(shape,) for shape in shown]
        movies.append((stages, questions))
    return _on_one_background(random, movies)


def _two_colours(random: Random) -> tuple[Shape, Shape]:
    shape = random_shape(random)
    other = random_shape(random)
    while other.colour == shape.colour:
        other = random_shape(random)
    return shape, shape.in_colour(other.colour)


def _appear(random: Random) -> tuple[Movie, ...]:
    shape = random_shape(random)
    absent = int(random.integers(5, NUM_FRAMES - 4))  # frames
    stages: list[tuple[Shape, ...]] = [()] * absent + [(shape,)] * (NUM_FRAMES - absent)
    text = f"Does the {shape.name} appear or vanish?"
    return _on_one_background(
        random,
        [
            (stages, (Question("appear", text, "appears"),)),
            (stages[::-1], (Question("appear", text, "vanishes"),)),
        ],
    )


def _count(random: Random) -> tuple[Movie, ...]:
    shape = random_shape(random)
    text = f"How many times does the {shape.name} flash?"
    movies: list[Stages] = []
    for answer, choices in BLINKS.items():
        beats = choices[int(random.integers(len(choices)))]
        stages: list[tuple[Shape, ...]] = [
            (shape,) if (i + 1) // 3 in beats else () for i in range(NUM_FRAMES)
        ]
        movies.append((stages, (Question("count", text, answer),)))
    return _on_one_background(random, movies)


def _when(random: Random) -> tuple[Movie, ...]:
    shape = random_shape(random)
    text = f"When does the {shape.name} flash, at the start, in the middle or at the end?"
    movies: list[Stages] = []
    for answer, (begin, end) in FLASHES[int(random.integers(len(FLASHES)))].items():
        stages: list[tuple[Shape, ...]] = [
            (shape,) if begin <= i < end else () for i in range(NUM_FRAMES)
        ]
        movies.append((stages, (Question("when", text, answer),)))
    return _on_one_background(random, movies)


def _on_one_background(random: Random, movies: list[Stages]) -> tuple[Movie, ...]:
    """Return the movies of shapes as movies of pictures that all have one background."""
    background = random_background(random)
    return tuple(
        Movie(tuple(Picture(background, shapes) for shapes in stages), questions)
        for stages, questions in movies
    )


TASKS: dict[str, Callable[[Random], tuple[Movie, ...]]] = {
    "direction": _direction,
    "order": _order,
    "count": _count,
    "appear": _appear,
    "speed": _speed,
    "change": _change,
    "when": _when,
}
