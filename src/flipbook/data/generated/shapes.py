"""How does a named shape become pixels?

    Picture (a background and shapes, all plain numbers) -> (S, S, 3) uint8

Edges are one pixel soft, so a motion of a fraction of a pixel shows. A new kind of shape is one
distance function plus one line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

FRAME_SIZE = 128  # px
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 40, 40),
    "green": (40, 190, 60),
    "blue": (50, 80, 235),
    "yellow": (240, 215, 40),
    "white": (245, 245, 245),
    "pink": (240, 90, 200),
}

Grid = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """A shape of one kind and colour; centre and radius in px, y downwards."""

    kind: str
    colour: str
    x: float
    y: float
    radius: float

    @property
    def name(self) -> str:
        """What a person would call it: "red circle"."""
        return f"{self.colour} {self.kind}"

    def at(self, *, x: float, y: float) -> Shape:
        """Return the same shape somewhere else."""
        return replace(self, x=float(x), y=float(y))

    def in_colour(self, colour: str) -> Shape:
        """Return the same shape in another colour."""
        return replace(self, colour=colour)


@dataclass(frozen=True)
class Picture:
    """One frame: grey levels of the background's top and bottom, and the shapes before it."""

    background: tuple[float, float]
    shapes: tuple[Shape, ...]


def draw_picture(picture: Picture) -> NDArray[np.uint8]:
    """Return the pixels of a picture, uint8 RGB of shape (S, S, 3)."""
    top, bottom = picture.background
    grey = np.linspace(top, bottom, FRAME_SIZE)[:, None, None]
    pixels = np.broadcast_to(grey, (FRAME_SIZE, FRAME_SIZE, 3)).copy()
    for shape in picture.shapes:
        reach = shape.radius + 2
        rows = slice(max(0, int(shape.y - reach)), int(shape.y + reach) + 1)
        columns = slice(max(0, int(shape.x - reach)), int(shape.x + reach) + 1)
        y, x = np.mgrid[rows, columns][:, : FRAME_SIZE - rows.start, : FRAME_SIZE - columns.start]
        outside = KINDS[shape.kind](x - shape.x, y - shape.y, shape.radius)  # px, signed
        cover = np.clip(0.5 - outside, 0, 1)[:, :, None]
        patch = pixels[rows, columns]
        pixels[rows, columns] = patch + cover * (np.array(COLOURS[shape.colour]) - patch)
    return np.round(pixels).astype(np.uint8)  # (S, S, 3)


def random_shape(random: np.random.Generator, *, margin: float = 0) -> Shape:
    """Return a shape of any kind, colour, size and place, `margin` px inside the frame."""
    radius = round(random.uniform(13, 20), 2)
    x, y = random.uniform(radius + margin, FRAME_SIZE - radius - margin, size=2).round(2)
    kind = list(KINDS)[int(random.integers(len(KINDS)))]
    colour = list(COLOURS)[int(random.integers(len(COLOURS)))]
    return Shape(kind, colour, float(x), float(y), radius)


def two_colours(random: np.random.Generator) -> tuple[Shape, Shape]:
    """Return a shape as `random_shape` does, and the same in another colour."""
    shape = random_shape(random)
    other = random_shape(random)
    while other.colour == shape.colour:
        other = random_shape(random)
    return shape, shape.in_colour(other.colour)


def random_background(random: np.random.Generator) -> tuple[float, float]:
    """Return two dark grey levels, for the top and the bottom of a frame."""
    top, bottom = random.uniform(10, 70, size=2).round(1)
    return float(top), float(bottom)


def _circle(x: Grid, y: Grid, radius: float) -> Grid:
    distance: Grid = np.sqrt(x * x + y * y)
    return distance - radius


def _square(x: Grid, y: Grid, radius: float) -> Grid:
    distance: Grid = np.maximum(np.abs(x), np.abs(y))
    return distance - 0.85 * radius


def _triangle(x: Grid, y: Grid, radius: float) -> Grid:
    distance: Grid = np.maximum(y, np.sqrt(0.75) * np.abs(x) - 0.5 * y)
    return distance - 0.55 * radius


# The signed distance in px from a shape's edge, negative inside.
KINDS: dict[str, Callable[[Grid, Grid, float], Grid]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
}
