"""Which frames of a clip does a view show?

    Ruler, View, sampling -> frame indices

The stretch from 1.0 s to 2.0 s of a clip of 4 frames a second, three frames, `uniform`:

    frame       0  1  2  3  4  5  6  7  8  9
    seconds     0           1           2
    stretch                 4  5  6  7               8 comes on display when the stretch is over
    chosen                  4  5     7
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from flipbook.video.sampling import (
    IndexArray,
    Ruler,
    frames_on_display,
    sample_frames,
    sample_instants,
)
from flipbook.video.view import View

# Annotations are rounded, often to whole seconds, so a stretch may end this long after its clip.
PAST_END_S = 1.0
# Containers of whole milliseconds (Matroska) and annotations in decimals round instants: one that
# is nearer than this to the appearance of a frame means that frame.
ROUNDING_S = 0.002
ALL_TIME = (0.0, 1.0)  # shares of a clip


class OutsideClipError(ValueError):
    """A view asks for instants that a clip does not have; the message says which."""


def shown_frames(
    ruler: Ruler,
    view: View,
    *,
    time_crop: tuple[float, float] = ALL_TIME,
    rng: np.random.Generator | None = None,
    **sampling: Any,
) -> IndexArray:
    """Return the indices of the frames that a view shows, int64 (T,), never falling.

    Args:
        time_crop: from where to where frames are taken, as shares of what the view shows; named
            instants stay as they are.
        rng, sampling: as in `sample_instants`.

    Raises:
        OutsideClipError: the clip has ended before that.
    """
    if view.times_s:
        return _at_instants(ruler, view.times_s)
    first, part = _shown_part(ruler, view)
    if time_crop != ALL_TIME:
        num_before, part = _between(part, *time_crop)
        first += num_before
    return first + sample_frames(part, rng=rng, **sampling)


def shown_instants_s(ruler: Ruler, view: View, **sampling: Any) -> tuple[float, ...]:
    """Return the instants that are asked for, in seconds of the clip, one for each frame.

    The frame on display at an instant may have come on display a little before. Samplers draw
    nothing here: where `segments` jitters, its middles are told.

    Raises:
        OutsideClipError: as `shown_frames`.
    """
    if view.times_s:
        _at_instants(ruler, view.times_s)
        return view.times_s
    first, part = _shown_part(ruler, view)
    instants = ruler.starts[first] + sample_instants(part, **sampling)
    return tuple((instants * ruler.unit_s).tolist())


def stretch_of(ruler: Ruler, view: View) -> tuple[int, int] | None:
    """Return the first and last frame that are on display in a view's stretch; None for all.

    Raises:
        OutsideClipError: the clip has ended before the stretch begins, or long before it ends.
    """
    if view.start_s is None and view.end_s is None:
        return None
    start_s = view.start_s or 0.0
    end_s = ruler.duration_s if view.end_s is None else view.end_s
    if start_s >= ruler.duration_s > 0 or end_s > ruler.duration_s + PAST_END_S:
        raise OutsideClipError(
            f"the record shows {start_s:g} s to {end_s:g} s, and the clip ends at "
            f"{ruler.duration_s:.2f} s; mend start_s and end_s"
        )
    start, end = (start_s + ROUNDING_S) / ruler.unit_s, (end_s - ROUNDING_S) / ruler.unit_s
    first = int(np.searchsorted(ruler.starts, start, side="right")) - 1
    last = int(np.searchsorted(ruler.starts, end, side="left")) - 1
    return max(first, 0), max(last, first, 0)


def shown_length(ruler: Ruler, view: View) -> tuple[float, int]:
    """Return how many seconds and how many frames a view's stretch has."""
    _, part = _shown_part(ruler, view)
    return part.duration_s, int(part.starts.size)


def inside(view_frames: tuple[int, int] | None, flags: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return flags of frames with those outside of a stretch taken down."""
    if view_frames is None:
        return flags
    kept = np.zeros_like(flags)
    first, last = view_frames
    kept[first : last + 1] = flags[first : last + 1]
    return kept


def _shown_part(ruler: Ruler, view: View) -> tuple[int, Ruler]:
    """Return the first frame of a view's stretch, and the stretch from there on."""
    window = stretch_of(ruler, view)
    if window is None:
        return 0, ruler
    end = ruler.end if view.end_s is None else min(ruler.end, view.end_s / ruler.unit_s)
    return window[0], _part(ruler, *window, end=end)


def _between(ruler: Ruler, start_share: float, end_share: float) -> tuple[int, Ruler]:
    """Return the first frame on display between two shares of a clip, and the clip from there."""
    start, end = start_share * ruler.end, end_share * ruler.end
    first = max(int(np.searchsorted(ruler.starts, start, side="right")) - 1, 0)
    last = max(int(np.searchsorted(ruler.starts, end, side="left")) - 1, first)
    return first, _part(ruler, first, last, end=min(ruler.end, end))


def _part(ruler: Ruler, first: int, last: int, *, end: float) -> Ruler:
    starts = ruler.starts[first : last + 1]
    return Ruler(
        starts - starts[0], end=max(float(end), float(starts[-1])) - starts[0], unit_s=ruler.unit_s
    )


def _at_instants(ruler: Ruler, times_s: tuple[float, ...]) -> IndexArray:
    if times_s[-1] > ruler.duration_s + PAST_END_S:
        raise OutsideClipError(
            f"the record shows the frame at {times_s[-1]:g} s, and the clip ends at "
            f"{ruler.duration_s:.2f} s; mend times_s"
        )
    return frames_on_display(ruler, (np.asarray(times_s) + ROUNDING_S) / ruler.unit_s)
