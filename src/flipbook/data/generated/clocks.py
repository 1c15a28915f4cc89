"""Which questions need the instants of the frames, in seconds?

    random  ->  rivals: Movies of the same frames at different frames a second

    duration  . . o o o . . .    3 beats long: 1, 2 or 4 s at 9, 4.5 or 2.25 frames a second
    span      . o . . . . . .    and later in the clip, each at 5 and at 10 frames a second

Whoever sees the frames in order and not when they were, sees the rivals of `duration` alike.
"""

from __future__ import annotations

from fractions import Fraction

from flipbook.data.formats.prompts import span_answer, when_question
from flipbook.data.generated.flashes import FLASHES
from flipbook.data.generated.movies import (
    FRAMES_PER_BEAT,
    NUM_BEATS,
    Movie,
    Question,
    Random,
    shown_during,
)
from flipbook.data.generated.shapes import Picture, random_background, random_shape

SECONDS = (1, 2, 4)
SPAN_RATES = (10, 5)  # frames a second; all instants are whole tenths of a second


def duration(random: Random) -> tuple[Movie, ...]:
    """Return three movies of the same frames in the same order: how long is the shape there?"""
    shape = random_shape(random)
    beats = int(random.integers(2, 5))
    begin = FRAMES_PER_BEAT * int(random.integers(1, NUM_BEATS - beats)) - 1
    num_frames = FRAMES_PER_BEAT * beats
    background = random_background(random)
    stages = shown_during((shape,), begin, begin + num_frames)
    pictures = tuple(Picture(background, shapes) for shapes in stages)
    text = f"How long does the {shape.name} stay, 1, 2 or 4 seconds?"
    return tuple(
        Movie(pictures, (Question("duration", text, _in_seconds(s)),), Fraction(num_frames, s))
        for s in SECONDS
    )


def span(random: Random) -> tuple[Movie, ...]:
    """Return six movies of a shape: from when to when does it flash?"""
    shape = random_shape(random)
    background = random_background(random)
    text = when_question(f"the {shape.name} flashes")
    flashes = FLASHES[int(random.integers(len(FLASHES)))].values()
    movies = []
    for rate in SPAN_RATES:
        for begin, end in flashes:
            stages = shown_during((shape,), begin, end)
            pictures = tuple(Picture(background, shapes) for shapes in stages)
            seconds = (begin / rate, end / rate)
            question = Question("span", text, span_answer(*seconds), spans=(seconds,))
            movies.append(Movie(pictures, (question,), Fraction(rate)))
    return tuple(movies)


def _in_seconds(number: int) -> str:
    return f"{number} second" if number == 1 else f"{number} seconds"
