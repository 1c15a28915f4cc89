"""Which frames does a clip give that is a folder, or a list, of pictures?

    folder -> pictures in the order of their names -> Clip: frames, instants

Names are ordered as people count: `frame_2.jpg` comes before `frame_10.jpg`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flipbook.errors import MediaError
from flipbook.video.clip import Clip
from flipbook.video.distinct import GLIMPSE_PX, distinct_frames, glimpse_aspect
from flipbook.video.frames import is_image_file, read_image
from flipbook.video.sampling import Ruler
from flipbook.video.stretch import OutsideClipError, shown_frames
from flipbook.video.view import View

DEFAULT_FPS = 1.0  # of pictures for which nobody says how fast they follow each other
_DIGITS = re.compile(r"(\d+)")


def list_frame_files(folder: str | os.PathLike[str]) -> tuple[str, ...]:
    """Return the paths of the pictures in a folder, in the order of their names.

    Raises:
        MediaError: it is no folder that can be read, holds no picture, or a picture in it is a
            link that leads out of it.
    """
    name = os.fspath(folder)
    try:
        found = [entry.name for entry in os.scandir(name) if is_image_file(entry.name)]
    except OSError as error:
        raise MediaError(
            name, f"cannot be read as a folder of pictures ({error.strerror}); check the path"
        ) from error
    if not found:
        raise MediaError(
            name, "is a folder without pictures; name one that holds a clip's frames, or a file"
        )
    paths = tuple(os.path.join(name, picture) for picture in sorted(found, key=_as_counted))
    real = os.path.realpath(name)
    for path in paths:
        if os.path.islink(path) and os.path.dirname(os.path.realpath(path)) != real:
            raise MediaError(path, "is a link that leads out of its folder; copy the picture there")
    return paths


def frame_files_ruler(num_frames: int, frames_fps: float | None) -> Ruler:
    """Return when each of some pictures comes on display: each stays as long as the others."""
    starts = np.arange(num_frames, dtype=np.float64)
    return Ruler(starts, end=float(num_frames), unit_s=1 / (frames_fps or DEFAULT_FPS))


def read_frame_files(
    name: str,
    paths: Sequence[str],
    *,
    view: View,
    frame_size: int,
    aspect: str,
    min_frame_change: float = 0.0,
    **sampling: Any,
) -> Clip:
    """Return some of the pictures of a clip, squared as video frames are: a Clip (T, 3, S, S).

    Args:
        name: of the clip, for messages.
        paths: all of its pictures, in order.
        view: which of them are shown; `frames_fps` tells their instants.
        min_frame_change: as in `distinct_frames`; 0 takes the sampler's pictures as they come.
        sampling: as in `shown_frames`.

    Raises:
        MediaError: instants are asked for that the pictures do not have, or of which nobody knows
            when they are; or a picture cannot be read.
    """
    needs_rate = view.start_s is not None or view.end_s is not None or view.times_s
    if view.frames_fps is None and (needs_rate or sampling.get("sampler") == "fps"):
        raise MediaError(
            name,
            "is made of pictures, and nobody says how many of them are a second; give frames_fps "
            "in the record, or --frames_fps",
        )
    ruler = frame_files_ruler(len(paths), view.frames_fps)
    try:
        if min_frame_change > 0:
            glimpse = partial(_glimpses, paths, aspect=glimpse_aspect(aspect))
            how = sampling | {"min_frame_change": min_frame_change}
            indices = distinct_frames(ruler, view, glimpse=glimpse, **how).tolist()
        else:
            indices = shown_frames(ruler, view, **sampling).tolist()
    except OutsideClipError as error:
        raise MediaError(name, str(error)) from error
    pictures = {
        index: read_image(paths[index], frame_size=frame_size, aspect=aspect)
        for index in sorted(set(indices))
    }
    return Clip(
        path=name,
        frames=torch.stack([pictures[index] for index in indices]),  # (T, 3, S, S)
        times_s=torch.tensor([index * ruler.unit_s for index in indices], dtype=torch.float64),
        frame_indices=tuple(indices),
        num_repeated=len(indices) - len(pictures),
    )


def _glimpses(paths: Sequence[str], wanted: Sequence[int], *, aspect: str) -> dict[int, Tensor]:
    """Return small pictures of the wanted ones."""
    return {i: read_image(paths[i], frame_size=GLIMPSE_PX, aspect=aspect) for i in wanted}


def _as_counted(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers inside names by their value."""
    parts = _DIGITS.split(name)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]
