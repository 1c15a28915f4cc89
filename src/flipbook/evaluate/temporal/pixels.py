"""What does a reader without a model know of a clip?

Movie  ->  numbers of its 8 uniform frames  ->  one row of numbers for each reading

last_frame    the numbers of the last frame
middle_frame  of the frame that the control `single_frame` shows
unordered     of all frames, each number sorted over them: no order is left
untimed       of all frames, one after the other
timed         the same, and how far apart the frames are in time
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flipbook.data.generated.movies import FRAMES_PER_BEAT, MIDDLE_FRAME, NUM_BEATS, Movie
from flipbook.data.generated.shapes import draw_picture

FloatArray = NDArray[np.float64]

SIDE = 16  # cells of a frame's side
FINENESS = 4  # px; no shape is so small that none of its inside is looked at
# So that a few numbers count as much as the many about cells.
COLOUR_WEIGHT = 6.0
TIME_WEIGHT = 20.0


def frame_numbers(movie: Movie) -> FloatArray:
    """Return what is on 8 uniform frames of a movie, float64 (8, 774).

    The mean colours of 16 x 16 cells, from 0 to 1, and the colour that is farthest from that of the
    upper left corner, weighted: where a shape is and what colour it has are linear in them.
    """
    pictures = movie.pictures[::FRAMES_PER_BEAT]
    drawn = {picture: _numbers(draw_picture(picture)) for picture in set(pictures)}
    return np.stack([drawn[picture] for picture in pictures])  # (8, 774)


def time_numbers(movie: Movie) -> FloatArray:
    """Return how far apart 8 uniform frames of a movie are, float64 (1,), weighted.

    On a logarithmic scale, on which a length is a number of frames plus a step.
    """
    step_s = FRAMES_PER_BEAT / float(movie.frames_per_s)
    return np.array([TIME_WEIGHT * np.log2(step_s)])


def _numbers(pixels: NDArray[np.uint8]) -> FloatArray:
    cell = pixels.shape[0] // SIDE  # px
    cells = pixels.reshape(SIDE, cell, SIDE, cell, 3).mean(axis=(1, 3)) / 255
    flat = pixels[::FINENESS, ::FINENESS].reshape(-1, 3) / 255
    red, green, blue = flat[np.abs(flat - flat[0]).sum(axis=1).argmax()]
    # With the products, each of six colours can be told from all others by a plane.
    colour = np.array([red, green, blue, red * green, green * blue, blue * red])
    numbers: FloatArray = np.concatenate([cells.ravel(), COLOUR_WEIGHT * colour])
    return numbers


# Frames (N, 8, D) and times (N, 1) of some movies -> a row for each, (N, K).
READINGS: dict[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "last_frame": lambda frames, times: frames[:, NUM_BEATS - 1],
    "middle_frame": lambda frames, times: frames[:, MIDDLE_FRAME // FRAMES_PER_BEAT],
    "unordered": lambda frames, times: np.sort(frames, axis=1).reshape(len(frames), -1),
    "untimed": lambda frames, times: frames.reshape(len(frames), -1),
    "timed": lambda frames, times: np.hstack([frames.reshape(len(frames), -1), times]),
}
