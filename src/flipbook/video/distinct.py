"""Which frames of a clip show something new?

    Ruler, View -> candidates -> small grey glimpses of them -> indices of those that change most

Four times as many instants are looked at as frames are wanted. A frame counts as a repeat while it
differs from the last one that was kept by less than a few grey levels. Two frames of eight, and
the letters are what they show:

    candidates   a a a a b b c c
    change       -       9   2          between kept ones; a frame that repeats has none
    kept         a       b              the first, and the one that changes most

Where too few frames are new, the rest is spread evenly over those that repeat: the number of frames
stays what was planned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flipbook.video.sampling import IndexArray, Ruler, num_frames_at_rate
from flipbook.video.stretch import shown_frames, shown_length
from flipbook.video.view import View

CANDIDATES_PER_FRAME = 4
GLIMPSE_PX = 64  # the smallest side that frames are made square to
_GREY = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, section 2.5.1

Glimpses = Callable[[Sequence[int]], Mapping[int, Tensor]]


def glimpse_aspect(aspect: str) -> str:
    """Return how a frame is made square to be compared: without bars, which never change."""
    return "crop" if aspect == "crop" else "stretch"


def distinct_frames(
    ruler: Ruler,
    view: View,
    *,
    glimpse: Glimpses,
    min_frame_change: float,
    rng: np.random.Generator | None = None,
    **sampling: Any,
) -> IndexArray:
    """Return the indices of the frames that a view shows, those preferred that show something new.

    They are as many as `shown_frames` gives, and never fall. Named instants stay as they are.

    Args:
        glimpse: gives small pictures, uint8 (3, S, S), of frames named by their indices.
        min_frame_change: grey levels, 0 to 255, by which two frames differ on the mean when the
            second one is no repeat.
        rng, sampling: as in `shown_frames`.

    Raises:
        OutsideClipError: as `shown_frames`.
    """
    if view.times_s:
        return shown_frames(ruler, view, rng=rng, **sampling)
    num_frames, sampler = int(sampling["num_frames"]), sampling.get("sampler", "uniform")
    if sampler == "fps":
        rate = {name: sampling[name] for name in ("frames_per_s", "min_frames", "max_frames")}
        num_frames = num_frames_at_rate(*shown_length(ruler, view), **rate)
        sampler = "uniform"
    more = sampling | {"sampler": sampler, "num_frames": CANDIDATES_PER_FRAME * num_frames}
    found = shown_frames(ruler, view, rng=rng, **more)
    candidates = np.unique(found)
    if len(candidates) <= num_frames:  # too short a clip to choose from
        places = np.linspace(0, len(found) - 1, num_frames, dtype=int)
        return found[places]
    pictures = glimpse(candidates.tolist())
    grey = torch.stack([_grey(pictures[index]) for index in candidates.tolist()])
    kept = most_changing(grey, num_frames=num_frames, min_frame_change=min_frame_change)
    return candidates[kept]


def most_changing(grey: Tensor, *, num_frames: int, min_frame_change: float) -> list[int]:
    """Return the places of `num_frames` pictures that change most, in order.

    Args:
        grey: float32 (M, S, S), levels from 0 to 255, M of `num_frames` or more.
        num_frames: how many places are given.
        min_frame_change: as in `distinct_frames`.
    """
    kept, changes = [0], [float("inf")]  # the first is always new
    for place in range(1, len(grey)):
        change = float((grey[place] - grey[kept[-1]]).abs().mean())
        if change >= min_frame_change:
            kept.append(place)
            changes.append(change)
    if len(kept) > num_frames:
        most = np.argsort(-np.asarray(changes), kind="stable")[:num_frames]
        return sorted(kept[number] for number in most)
    repeats = sorted(set(range(len(grey))) - set(kept))
    num_missing = num_frames - len(kept)
    spread = [
        repeats[(2 * step + 1) * len(repeats) // (2 * num_missing)] for step in range(num_missing)
    ]
    return sorted(kept + spread)


def _grey(picture: Tensor) -> Tensor:
    """Return the grey levels of a picture: uint8 (3, S, S) -> float32 (S, S)."""
    weights = torch.tensor(_GREY, dtype=torch.float32)
    return (picture.to(torch.float32) * weights[:, None, None]).sum(dim=0)
