"""Which questions are about what two shapes do?

    random  ->  rivals: Movies made of the same frames in different orders

    arrives   one crosses the frame, then the other does; and the same backwards
    touches   one goes to the other and back, then the other does; and the same backwards
    faster    one crosses the frame straight, the other by a detour over the same places; and the
              other way round

In the frames 9 to 12 both shapes rest, at the same places in both rivals: the middle frame of the
clip tells nothing, nor does the last, nor the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flipbook.data.generated.movies import (
    NUM_FRAMES,
    Movie,
    Question,
    Random,
    Shapes,
    Stages,
    on_one_background,
)
from flipbook.data.generated.shapes import FRAME_SIZE, Shape, two_colours

EDGE = 4  # px between a shape at rest and the edge
DRIFT = 6  # px by which a lane lies off its middle
LARGEST = 16  # px, the radius of shapes that meet
CONTACT = 0.9  # of the sum of the radii: squares and triangles do not fill their circle
NUM_MOVING = 10  # frames 0 to 9 belong to one shape, 12 to 21 to the other

STRAIGHT = tuple(range(NUM_MOVING))
# Over the same ten places, with 0, 3, 6 and 9 on the frames that 8 uniform ones show.
DETOUR = (0, 2, 4, 6, 8, 5, 3, 1, 7, 9)
# How much of the way to the other a shape has behind it; the same backwards.
VISIT = (0.0, 0.0, 1 / 3, 2 / 3, 1.0, 1.0, 1.0, 2 / 3, 1 / 3, 0.0, 0.0)


def arrives(random: Random) -> tuple[Movie, ...]:
    """Return two movies of two shapes that cross the frame: which is there first?"""
    one, other = two_colours(random)
    moving = int(random.integers(5, NUM_MOVING))  # frames from its start to its end
    wait = int(random.integers(0, NUM_MOVING - moving))
    share = [min(max((frame - wait) / moving, 0.0), 1.0) for frame in range(NUM_FRAMES)]
    later = [1 - value for value in share[::-1]]
    stages = _Lanes.drawn(random, one, other).stages(share, later)
    text = f"Which colour arrives first, {_either(random, one, other)}?"
    first = (Question("arrives", text, one.colour),)
    second = (Question("arrives", text, other.colour),)
    return on_one_background(random, [(stages, first), (stages[::-1], second)])


def faster(random: Random) -> tuple[Movie, ...]:
    """Return two movies of two shapes that cross the frame, one after the other: who is faster?"""
    one, other = two_colours(random)
    lanes = _Lanes.drawn(random, one, other)
    text = f"Which colour moves faster, {_either(random, one, other)}?"
    detour_later = tuple(NUM_MOVING - 1 - place for place in DETOUR[::-1])
    rest = NUM_FRAMES - NUM_MOVING  # frames
    movies: list[Stages] = []
    for early, late, winner in ((STRAIGHT, detour_later, other), (DETOUR, STRAIGHT, one)):
        share = [place / (NUM_MOVING - 1) for place in (*early, *[early[-1]] * rest)]
        later = [place / (NUM_MOVING - 1) for place in (*[late[0]] * rest, *late)]
        movies.append((lanes.stages(share, later), (Question("faster", text, winner.colour),)))
    return on_one_background(random, movies)


def touches(random: Random) -> tuple[Movie, ...]:
    """Return two movies of two shapes that visit each other: which goes to the other first?"""
    one, other = (_small(shape) for shape in two_colours(random))
    sideways = random.random() < 0.5
    across = random.uniform(LARGEST + EDGE, FRAME_SIZE - LARGEST - EDGE)
    near = one.radius + EDGE + random.uniform(0, 10)
    far = FRAME_SIZE - other.radius - EDGE - random.uniform(0, 10)
    way = far - near - CONTACT * (one.radius + other.radius)  # px
    homes = (_placed(one, near, across, sideways), _placed(other, far, across, sideways))
    visits: list[Shapes] = [
        (_placed(one, near + share * way, across, sideways), homes[1]) for share in VISIT
    ]
    visits += [(homes[0], _placed(other, far - share * way, across, sideways)) for share in VISIT]
    text = f"Which colour goes to the other first, {_either(random, one, other)}?"
    first = (Question("touches", text, one.colour),)
    second = (Question("touches", text, other.colour),)
    return on_one_background(random, [(visits, first), (visits[::-1], second)])


@dataclass(frozen=True)
class _Lanes:
    """Two parallel lanes from edge to edge, a shape in each."""

    shapes: tuple[Shape, Shape]
    across: tuple[float, float]
    sideways: bool
    mirrored: bool

    @classmethod
    def drawn(cls, random: Random, one: Shape, other: Shape) -> _Lanes:
        drift = random.uniform(-DRIFT, DRIFT, size=2)
        across = (FRAME_SIZE / 4 + float(drift[0]), 3 * FRAME_SIZE / 4 + float(drift[1]))
        if random.random() < 0.5:
            across = across[::-1]
        return cls((one, other), across, random.random() < 0.5, random.random() < 0.5)

    def stages(self, share: Sequence[float], other_share: Sequence[float]) -> list[Shapes]:
        """Return both shapes frame by frame; shares from 0 at one end of a lane to 1."""
        return [
            tuple(self._at(place, value) for place, value in enumerate(values))
            for values in zip(share, other_share, strict=True)
        ]

    def _at(self, lane: int, share: float) -> Shape:
        shape = self.shapes[lane]
        start = shape.radius + EDGE
        share = 1 - share if self.mirrored else share
        along = start + (FRAME_SIZE - 2 * start) * share
        return _placed(shape, along, self.across[lane], self.sideways)


def _placed(shape: Shape, along: float, across: float, sideways: bool) -> Shape:
    along, across = round(along, 3), round(across, 3)
    return shape.at(x=along, y=across) if sideways else shape.at(x=across, y=along)


def _small(shape: Shape) -> Shape:
    return replace(shape, radius=min(shape.radius, LARGEST))


def _either(random: Random, one: Shape, other: Shape) -> str:
    """Return both colours, in a drawn order."""
    colours = [one.colour, other.colour]
    return " or ".join(colours if random.random() < 0.5 else colours[::-1])
