"""Which questions are about shapes that stand still and come, go or change?

random  ->  rivals: Movies made of the same frames in different orders

appear    . . . o o o o o          count 1   . . o o o . . .
vanish    o o o o o . . .          count 2   . o o . . o . .
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
    shown_during,
)
from flipbook.data.generated.shapes import random_shape, two_colours

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


def order(random: Random) -> tuple[Movie, ...]:
    """Return two movies of two colours, one after the other: which is first, which last?"""
    earlier, later = two_colours(random)
    lit = int(random.integers(4, 9))  # frames; both stand equally long, with nothing in between
    wait = int(random.integers(0, 9 - lit))
    movies: list[Stages] = []
    for first, last in ((earlier, later), (later, earlier)):
        stages: list[Shapes] = [()] * NUM_FRAMES
        stages[wait : wait + lit] = [(first,)] * lit
        stages[NUM_FRAMES - wait - lit : NUM_FRAMES - wait] = [(last,)] * lit
        questions = (
            Question("order", "Which colour comes first?", first.colour),
            Question("order", "Which colour comes last?", last.colour),
        )
        movies.append((stages, questions))
    return on_one_background(random, movies)


def change(random: Random) -> tuple[Movie, ...]:
    """Return two movies of a shape that changes colour: which is it before, which behind?"""
    one, other = two_colours(random)
    moment = int(random.integers(5, NUM_FRAMES - 4))  # frames of the first colour
    movies: list[Stages] = []
    for first, last in ((one, other), (other, one)):
        num_first = moment if first is one else NUM_FRAMES - moment
        questions = (
            Question("change", f"What colour is the {one.kind} at the beginning?", first.colour),
            Question("change", f"What colour does the {one.kind} turn into?", last.colour),
        )
        shown = [first] * num_first + [last] * (NUM_FRAMES - num_first)
        movies.append(([(shape,) for shape in shown], questions))
    return on_one_background(random, movies)


def appear(random: Random) -> tuple[Movie, ...]:
    """Return two movies of a shape: does it appear or vanish?"""
    shape = random_shape(random)
    absent = int(random.integers(5, NUM_FRAMES - 4))  # frames
    stages = shown_during((shape,), absent, NUM_FRAMES)
    text = f"Does the {shape.name} appear or vanish?"
    return on_one_background(
        random,
        [
            (stages, (Question("appear", text, "appears"),)),
            (stages[::-1], (Question("appear", text, "vanishes"),)),
        ],
    )


def count(random: Random) -> tuple[Movie, ...]:
    """Return three movies of a shape: how often does it flash?"""
    shape = random_shape(random)
    text = f"How many times does the {shape.name} flash?"
    movies: list[Stages] = []
    for answer, choices in BLINKS.items():
        beats = choices[int(random.integers(len(choices)))]
        stages: list[Shapes] = [
            (shape,) if (i + 1) // 3 in beats else () for i in range(NUM_FRAMES)
        ]
        movies.append((stages, (Question("count", text, answer),)))
    return on_one_background(random, movies)


def when(random: Random) -> tuple[Movie, ...]:
    """Return three movies of a shape: in which part of the clip does it flash?"""
    shape = random_shape(random)
    text = f"When does the {shape.name} flash, at the start, in the middle or at the end?"
    movies: list[Stages] = []
    for answer, (begin, end) in FLASHES[int(random.integers(len(FLASHES)))].items():
        stages = shown_during((shape,), begin, end)
        movies.append((stages, (Question("when", text, answer),)))
    return on_one_background(random, movies)
