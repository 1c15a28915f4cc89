"""Which instants of a clip become frames?

    Ruler (when each frame comes on display) -> instants -> frame indices

A sampler places points in time; the frame of an instant is the one on display then. Ten frames at
a constant rate, four instants, `uniform`:

    frame      0   1   2   3   4   5   6   7   8   9
    instant    ^           ^           ^           ^      0, 3, 6, 9

To add a sampler, write a function with the signature of `Sampler` and add its line to `SAMPLERS`;
one that reads `rng` stands in `DRAWING_SAMPLERS` too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flipbook.errors import did_you_mean

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

DEFAULT_CLIP_SHARE = 0.25  # of the clip, in one stretch of the sampler `sparse`
MIDDLE = 0.5


@dataclass(frozen=True)
class Ruler:
    """When each frame of a clip comes on display.

    starts: float64 (total,), rising from 0, in units of `unit_s`. A clip of constant rate is
        measured in frames, so its starts are exactly 0, 1, 2, ... and no rounding of seconds can
        move an instant to the neighbouring frame. Any other clip is measured in seconds.
    end: the instant at which the last frame leaves the display, in the same unit.
    unit_s: seconds in one unit.
    """

    starts: FloatArray
    end: float
    unit_s: float

    def __post_init__(self) -> None:
        if self.starts.ndim != 1 or not self.starts.size:
            raise ValueError(f"starts has shape {self.starts.shape}; a clip has at least one frame")
        if not (self.end >= self.starts[-1] >= self.starts[0] == 0 < self.unit_s):
            raise ValueError(
                f"starts run from {self.starts[0]} to {self.starts[-1]}, end is {self.end}, "
                f"unit_s is {self.unit_s}; a ruler runs from 0 to its end"
            )

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame's appearance to the last frame's disappearance."""
        return self.end * self.unit_s


class Sampler(Protocol):
    """Returns instants on `ruler`, in its unit, float64 (T,), never falling."""

    def __call__(
        self,
        ruler: Ruler,
        *,
        num_frames: int,
        frames_per_s: float,
        min_frames: int,
        max_frames: int,
        clip_share: float,
        clip_place: float,
        rng: np.random.Generator | None,
    ) -> FloatArray: ...


def uniform(
    ruler: Ruler,
    *,
    num_frames: int,
    frames_per_s: float = 1.0,
    min_frames: int = 1,
    max_frames: int = 1,
    clip_share: float = 1.0,
    clip_place: float = 0.5,
    rng: np.random.Generator | None = None,
) -> FloatArray:
    """Return `num_frames` evenly spaced instants, first and last frame included.

    At a constant rate the frames are those of `np.linspace(0, total - 1, num_frames, dtype=int)`.
    """
    return np.linspace(0.0, ruler.starts[-1], num_frames)


def segments(
    ruler: Ruler,
    *,
    num_frames: int,
    frames_per_s: float = 1.0,
    min_frames: int = 1,
    max_frames: int = 1,
    clip_share: float = 1.0,
    clip_place: float = 0.5,
    rng: np.random.Generator | None = None,
) -> FloatArray:
    """Return one instant in each of `num_frames` equal segments: its middle, or drawn from `rng`.

    Source: Wang et al., Temporal Segment Networks (2016), section 3.1.
    """
    offsets = np.full(num_frames, 0.5) if rng is None else rng.random(num_frames)
    return (np.arange(num_frames) + offsets) * (ruler.end / num_frames)


def fps(
    ruler: Ruler,
    *,
    num_frames: int = 1,
    frames_per_s: float,
    min_frames: int,
    max_frames: int,
    clip_share: float = 1.0,
    clip_place: float = 0.5,
    rng: np.random.Generator | None = None,
) -> FloatArray:
    """Return evenly spaced instants, `frames_per_s` of them for each second of the clip.

    The count is rounded, never exceeds the frames there are, and is then held between `min_frames`
    and `max_frames`. First and last frame are included.
    """
    count = num_frames_at_rate(
        ruler.duration_s,
        ruler.starts.size,
        frames_per_s=frames_per_s,
        min_frames=min_frames,
        max_frames=max_frames,
    )
    return uniform(ruler, num_frames=count)


def sparse(
    ruler: Ruler,
    *,
    num_frames: int,
    frames_per_s: float = 1.0,
    min_frames: int = 1,
    max_frames: int = 1,
    clip_share: float,
    clip_place: float,
    rng: np.random.Generator | None = None,
) -> FloatArray:
    """Return `num_frames` evenly spaced instants of one stretch, its first and last included.

    The stretch is `clip_share` of the clip long. It begins where `rng` draws, or else `clip_place`
    of the way from the first possible beginning to the last: 0.5 is the middle of the clip.

    Source: Lei et al., Less is More: ClipBERT (2021), section 3.
    """
    last = float(ruler.starts[-1])
    room = last * (1 - clip_share)
    place = clip_place if rng is None else rng.random()
    return np.linspace(place * room, last - (1 - place) * room, num_frames)


def num_frames_at_rate(
    duration_s: float,
    num_frames: int,
    *,
    frames_per_s: float,
    min_frames: int,
    max_frames: int,
) -> int:
    """Return how many frames the sampler `fps` takes of a clip of `num_frames` frames."""
    wanted = min(round(duration_s * frames_per_s), num_frames)
    return max(min_frames, min(max_frames, wanted))


SAMPLERS: dict[str, Sampler] = {
    "uniform": uniform,
    "segments": segments,
    "fps": fps,
    "sparse": sparse,
}
DRAWING_SAMPLERS = frozenset({"segments", "sparse"})  # those that read `rng`


def sample_frames(
    ruler: Ruler, *, rng: np.random.Generator | None = None, **sampling: Any
) -> IndexArray:
    """Return the indices of the frames on display at the sampler's instants, int64 (T,).

    Indices never fall. They repeat only where the clip has too few frames, or keeps one frame on
    display over several instants. Arguments and errors are those of `sample_instants`.
    """
    return frames_on_display(ruler, sample_instants(ruler, rng=rng, **sampling))


def sample_instants(
    ruler: Ruler,
    *,
    num_frames: int,
    sampler: str = "uniform",
    frames_per_s: float = 1.0,
    min_frames: int = 4,
    max_frames: int = 64,
    clip_share: float = DEFAULT_CLIP_SHARE,
    clip_place: float = MIDDLE,
    rng: np.random.Generator | None = None,
) -> FloatArray:
    """Return the instants that a sampler places on `ruler`, in its unit, float64 (T,).

    Args:
        rng: where `DRAWING_SAMPLERS` draw theirs; None gives the same ones every time.

    Raises ValueError as `check_sampling` does.
    """
    how: dict[str, Any] = {
        "num_frames": num_frames,
        "frames_per_s": frames_per_s,
        "min_frames": min_frames,
        "max_frames": max_frames,
        "clip_share": clip_share,
        "clip_place": clip_place,
    }
    check_sampling(sampler=sampler, **how)
    return SAMPLERS[sampler](ruler, rng=rng, **how)


def frames_on_display(ruler: Ruler, instants: FloatArray) -> IndexArray:
    """Return, for each instant, the index of the last frame that started at or before it."""
    indices = np.searchsorted(ruler.starts, instants, side="right") - 1
    return np.clip(indices, 0, ruler.starts.size - 1).astype(np.int64)


def check_sampling(
    *,
    num_frames: int,
    sampler: str,
    frames_per_s: float,
    min_frames: int,
    max_frames: int,
    clip_share: float,
    clip_place: float,
) -> None:
    """Raise ValueError for an unknown sampler, or for numbers that cannot be meant."""
    if sampler not in SAMPLERS:
        raise ValueError(
            f"unknown sampler {sampler!r}; known are {', '.join(SAMPLERS)}."
            f"{did_you_mean(sampler, SAMPLERS)}"
        )
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; a clip needs at least 1 frame")
    if not (np.isfinite(frames_per_s) and frames_per_s > 0):
        raise ValueError(f"frames_per_s is {frames_per_s}; it must be above 0")
    if not 1 <= min_frames <= max_frames:
        raise ValueError(
            f"min_frames is {min_frames} and max_frames is {max_frames}; "
            f"1 <= min_frames <= max_frames must hold"
        )
    if not (0 < clip_share <= 1 and 0 <= clip_place <= 1):
        raise ValueError(
            f"clip_share is {clip_share} and clip_place is {clip_place}; "
            f"0 < clip_share <= 1 and 0 <= clip_place <= 1 must hold"
        )
