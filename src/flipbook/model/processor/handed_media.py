"""What did somebody hand over as a picture or a clip?

    path | PIL image | uint8 array                      ->  frames uint8 (1, 3, S, S)
    path | uint8 array of frames | list of pictures     ->  frames uint8 (T, 3, S, S)

Files are opened by `flipbook.video` alone, and every pixel takes the way that it takes in training.
Frames that are already decoded are sampled as if their rate were constant.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flipbook.errors import ArgumentError
from flipbook.video.decode import read_clip
from flipbook.video.frames import image_pixels, square_frames, upright_pixels
from flipbook.video.sampling import Ruler, sample_frames
from flipbook.video.settings import ClipSettings


def picture_frames(picture: Any, *, settings: ClipSettings) -> Tensor:
    """Frame of one picture: uint8 (1, 3, S, S).

    Args:
        picture: a path, a PIL image, or uint8 pixels (H, W, 3) or (3, H, W).
        settings: `frame_size` and `aspect` count.

    Raises:
        MediaError: the file cannot be read.
        ArgumentError: it is something else.
    """
    if isinstance(picture, (str, os.PathLike)):
        pixels = torch.from_numpy(image_pixels(picture))[None]  # (1, H, W, 3)
    elif isinstance(picture, Image.Image):
        pixels = torch.from_numpy(upright_pixels(picture))[None]
    else:
        pixels = _pixels(picture, what="a picture", num_dimensions=3)[None]
    return _squared(pixels, settings)


def clip_frames(clip: Any, *, settings: ClipSettings, is_sampled: bool = False) -> Tensor:
    """Frames of one clip: uint8 (T, 3, S, S).

    Args:
        clip: the path of a video, uint8 frames (T, H, W, 3) or (T, 3, H, W), or a list of pictures.
        settings: which frames, how large, how made square.
        is_sampled: whether decoded frames are to be taken as they are, all of them.

    Raises:
        MediaError: a file cannot be read.
        ArgumentError: it is something else, or the settings do not suit it.
    """
    if isinstance(clip, str) and clip.startswith("data:"):  # its end may be megabytes away
        raise ArgumentError(
            f"a clip is given as {clip[:24]!r}... itself, and only files are read. Save it and "
            "name the file that you saved."
        )
    if isinstance(clip, (str, os.PathLike)):
        if is_sampled:
            raise ArgumentError(
                f"{os.fspath(clip)}: do_sample_frames is False, but frames of a file are "
                "always chosen by a sampler. Give num_frames, or frames that you decoded."
            )
        return read_clip(clip, **settings.clip_kwargs()).frames
    if isinstance(clip, (list, tuple)):
        chosen = _chosen(len(clip), settings, is_sampled=is_sampled)
        return torch.cat([picture_frames(clip[index], settings=settings) for index in chosen])
    pixels = _pixels(clip, what="a clip", num_dimensions=4)
    return _squared(pixels[_chosen(len(pixels), settings, is_sampled=is_sampled)], settings)


def _chosen(num_decoded: int, settings: ClipSettings, *, is_sampled: bool) -> Sequence[int]:
    """Return the indices of the decoded frames to show."""
    if not num_decoded:
        raise ArgumentError("a clip of decoded frames holds none. Give one frame or more.")
    if is_sampled:
        return range(num_decoded)
    if settings.sampler == "fps":
        raise ArgumentError(
            "the sampler 'fps' counts by seconds, and decoded frames come without their times. "
            "Give the file, or num_frames, or do_sample_frames=False for all of the frames."
        )
    ruler = Ruler(np.arange(num_decoded, dtype=np.float64), end=float(num_decoded), unit_s=1.0)
    sampling = {"num_frames": settings.num_frames, "sampler": settings.sampler}
    indices: list[int] = sample_frames(ruler, **sampling).tolist()  # type: ignore[arg-type]
    return indices


def _pixels(value: Any, *, what: str, num_dimensions: int) -> Tensor:
    """Return uint8 pixels with the colours last; an array of another kind is refused."""
    if not isinstance(value, (np.ndarray, Tensor)):
        raise ArgumentError(
            f"{what} is given as {type(value).__name__}: give a path, PIL images or uint8 pixels."
        )
    pixels = torch.from_numpy(value) if isinstance(value, np.ndarray) else value.cpu()
    shape = tuple(pixels.shape)
    if pixels.dtype != torch.uint8 or len(shape) != num_dimensions or 3 not in shape[-3::2]:
        clip = "T, " if num_dimensions == 4 else ""
        raise ArgumentError(
            f"{what} is given as {pixels.dtype} {shape}: give torch.uint8 or numpy.uint8, "
            f"({clip}H, W, 3) or ({clip}3, H, W)."
        )
    return pixels if shape[-1] == 3 else pixels.movedim(-3, -1)


def _squared(pixels: Tensor, settings: ClipSettings) -> Tensor:
    return square_frames(
        pixels.permute(0, 3, 1, 2), frame_size=settings.frame_size, aspect=settings.aspect
    )
