"""Which questions does a single frame answer?

    random  ->  rivals: Movies of different frames

    colour       r r r r r r r r     any frame tells
    last_frame   w w w w w w w r     the last frame tells, alone

They are no temporal questions. A model that is right here and guesses elsewhere looks at frames,
and not at a clip; one that guesses here as well cannot see what the others ask about.
"""

from __future__ import annotations

from flipbook.data.generated.movies import (
    NUM_FRAMES,
    Movie,
    Question,
    Random,
    Shapes,
    Stages,
    on_one_background,
)
from flipbook.data.generated.shapes import COLOURS, Shape, random_shape

NUM_RIVALS = 3
LAST_FRAMES = 2  # the last of 8 beats: samplers that miss the very last frame see it too


def colour(random: Random) -> tuple[Movie, ...]:
    """Return three movies of a shape that nothing happens to: what colour is it?"""
    shape, *others = _in_colours(random, NUM_RIVALS)
    text = f"What colour is the {shape.kind}?"
    movies: list[Stages] = []
    for one in (shape, *others):
        stages: list[Shapes] = [(one,) for _ in range(NUM_FRAMES)]
        movies.append((stages, (Question("colour", text, one.colour),)))
    return on_one_background(random, movies)


def last_frame(random: Random) -> tuple[Movie, ...]:
    """Return three movies that differ in the last frames alone: what colour is the shape there?"""
    before, *lasts = _in_colours(random, NUM_RIVALS + 1)
    text = f"What colour is the {before.kind} in the last frame?"
    movies: list[Stages] = []
    for last in lasts:
        shown = [before] * (NUM_FRAMES - LAST_FRAMES) + [last] * LAST_FRAMES
        stages: list[Shapes] = [(shape,) for shape in shown]
        movies.append((stages, (Question("last_frame", text, last.colour),)))
    return on_one_background(random, movies)


def _in_colours(random: Random, number: int) -> list[Shape]:
    """Return a shape in several colours, all different."""
    shape = random_shape(random)
    drawn = random.permutation(len(COLOURS))[:number]
    return [shape.in_colour(list(COLOURS)[place]) for place in drawn]
