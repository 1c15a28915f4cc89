"""What stands on each frame of a clip, and what can be asked about it?

    pictures, questions, frames a second  ->  Movie  ->  frames (T, S, S, 3) uint8

Eight frames taken uniformly of a movie are those with the indices 0, 3, 6, ... 21, and so are those
of its reversal, in the other order.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from flipbook.data.generated.shapes import Picture, Shape, draw_picture, random_background

NUM_FRAMES = 22  # (22 - 1) / 7 is whole: 8 uniform frames of a clip are also those of its reversal
FRAMES_PER_S = 8
MIDDLE_FRAME = 12  # the later of the two middle ones of 8 uniform frames
NUM_BEATS = 8  # a beat is the stretch of frames nearest to one of 8 uniform frames
FRAMES_PER_BEAT = 3  # the first and the last beat are a frame shorter

Random = np.random.Generator
Shapes = tuple[Shape, ...]  # of one frame, the nearest to the viewer last
Stages = tuple[list[Shapes], tuple["Question", ...]]  # shapes frame by frame


@dataclass(frozen=True)
class Question:
    """One question about a clip or a picture, its one right answer, and the skill it needs.

    Attributes:
        task: scores are given for each.
        text: as a person asks.
        answer: in words.
        spans: stretches of the clip in seconds, where the question asks for some.
    """

    task: str
    text: str
    answer: str
    spans: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Movie:
    """What stands on each frame of a clip, and what can be asked about it."""

    pictures: tuple[Picture, ...]
    questions: tuple[Question, ...]
    frames_per_s: Fraction = Fraction(FRAMES_PER_S)

    def __post_init__(self) -> None:
        if len(self.pictures) != NUM_FRAMES or not self.questions:
            raise ValueError(
                f"a movie has {NUM_FRAMES} pictures and a question, "
                f"not {len(self.pictures)} and {len(self.questions)}"
            )


def draw_movie(movie: Movie) -> NDArray[np.uint8]:
    """Return the frames of a movie, uint8 RGB of shape (T, S, S, 3)."""
    drawn = {picture: draw_picture(picture) for picture in set(movie.pictures)}
    return np.stack([drawn[picture] for picture in movie.pictures])  # (T, S, S, 3)


def on_one_background(random: Random, movies: list[Stages]) -> tuple[Movie, ...]:
    """Return the movies of shapes as movies of pictures that all have one background."""
    background = random_background(random)
    return tuple(
        Movie(tuple(Picture(background, shapes) for shapes in stages), questions)
        for stages, questions in movies
    )


def shown_during(shapes: Shapes, begin: int, end: int) -> list[Shapes]:
    """Return the shapes of each frame where some are there from frame `begin` to before `end`."""
    return [shapes if begin <= frame < end else () for frame in range(NUM_FRAMES)]
