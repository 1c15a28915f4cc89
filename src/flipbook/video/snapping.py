"""May a wanted frame move to one near by that is cheaper to decode?

frame indices, which frames are cheap -> frame indices
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flipbook.video.sampling import IndexArray, Ruler


def snap_to_cheap(
    ruler: Ruler, indices: IndexArray, *, is_cheap: npt.NDArray[np.bool_], frame_snap: float
) -> IndexArray:
    """Return `indices` with frames moved to a cheap one near by, int64 (T,).

    is_cheap: bool (total,), the frames that can be decoded alone.
    frame_snap: how far a frame may move, as a share of the mean spacing of the wanted frames; 0
        moves nothing. Distinct frames stay distinct, and the order stays.

        wanted       2           7           12       spacing 5, frame_snap 0.25: at most 1.25
        key frames  0     4       8         12
        result       2           8           12
    """
    check_frame_snap(frame_snap)
    cheap = np.flatnonzero(is_cheap)
    if frame_snap == 0 or len(indices) < 2 or not cheap.size:
        return indices
    span = ruler.starts[indices[-1]] - ruler.starts[indices[0]]
    reach = frame_snap * span / (len(indices) - 1)
    snapped = indices.copy()
    for place in range(len(indices)):
        low = snapped[place - 1] if place else -1
        high = indices[place + 1] if place + 1 < len(indices) else ruler.starts.size
        near = cheap[(cheap > low) & (cheap < high)]
        distance = np.abs(ruler.starts[near] - ruler.starts[indices[place]])
        if near.size and distance.min() <= reach:
            snapped[place] = near[distance.argmin()]
    return snapped


def check_frame_snap(frame_snap: float) -> None:
    """Raise ValueError unless 0 <= frame_snap < 0.5."""
    if not 0 <= frame_snap < 0.5:
        raise ValueError(
            f"frame_snap is {frame_snap}; it is a share of the spacing between frames, "
            f"at least 0 (exact) and below 0.5"
        )
