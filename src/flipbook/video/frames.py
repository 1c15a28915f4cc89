"""How does a picture of any shape become the square that the vision tower reads?

    uint8 (T, 3, H, W) -> uint8 (T, 3, S, S)
    image file         -> uint8 (3, S, S)

Frames of videos and still images go through the same rule, in training and afterwards. To add a
rule, write a function (frames, frame_size) -> frames and add its line to `ASPECTS`.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from flipbook.errors import MediaError, did_you_mean
from flipbook.video.paths import checked_file, has_extension

IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif"})

PX_PER_TOKEN = 64  # stride of FastViTHD: one visual token for 64 x 64 px (FastVLM, section 3.1)

# Stated by the header, checked before any pixel is decoded. The largest phone photographs have 200
# million pixels, and would need 600 MB.
MAX_IMAGE_PIXELS = 100_000_000

_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "GIF", "PPM")


def is_image_file(path: str | os.PathLike[str]) -> bool:
    """Return whether the file name ends like a still image's, upper or lower case."""
    return has_extension(path, IMAGE_EXTENSIONS)


def read_image(
    path: str | os.PathLike[str], *, frame_size: int, aspect: str = "pad"
) -> torch.Tensor:
    """Return a still image upright, in RGB, squared like a video frame: uint8 (3, S, S).

    Transparency is dropped, as in the FastVLM reference code. Raises MediaError when the file may
    not be opened, is no image, is damaged, or has more than `MAX_IMAGE_PIXELS` pixels; ValueError
    as `square_frames` does.
    """
    check_square(frame_size=frame_size, aspect=aspect)
    pixels = torch.from_numpy(image_pixels(path))  # (H, W, 3)
    frames = pixels[None].permute(0, 3, 1, 2)  # (1, 3, H, W)
    return square_frames(frames, frame_size=frame_size, aspect=aspect)[0]


def image_pixels(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Return a still image upright, in RGB, at full size: (H, W, 3).

    Raises MediaError as `read_image` does.
    """
    name = checked_file(path)
    try:
        # PIL warns about odd metadata and about size; the first is harmless, the second is an
        # error of ours.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(name, formats=_IMAGE_FORMATS) as image:
                if image.width * image.height > MAX_IMAGE_PIXELS:
                    raise MediaError(name, _too_large(image.width, image.height))
                return upright_pixels(image)
    except Image.DecompressionBombError as error:
        raise MediaError(
            name, f"has too many pixels ({error}); scale it down to {MAX_IMAGE_PIXELS} or fewer"
        ) from error
    except UnidentifiedImageError as error:
        raise MediaError(
            name, f"is no image of a known kind ({', '.join(_IMAGE_FORMATS)}); convert it to PNG"
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise MediaError(
            name, f"cannot be decoded ({error}); it is damaged: copy or download it again"
        ) from error


def upright_pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return an open image turned upright, in RGB: (H, W, 3)."""
    return np.array(_eight_bit(ImageOps.exif_transpose(image)).convert("RGB"))


def _too_large(width: int, height: int) -> str:
    return (
        f"has {width}x{height} pixels, more than {MAX_IMAGE_PIXELS}; "
        f"scale it down before training on it"
    )


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return 16-bit grey as 8-bit grey; PIL's own conversion clips it to white."""
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def square_frames(frames: torch.Tensor, *, frame_size: int, aspect: str = "pad") -> torch.Tensor:
    """Return frames scaled to squares: uint8 (T, 3, H, W) -> uint8 (T, 3, S, S), contiguous.

    frame_size: the side S in px, a positive multiple of 64, the stride of the vision tower.
    aspect: a key of `ASPECTS`.

    Scaling is bicubic with antialiasing: PIL's within 1 of 255, and within 2 for a few values in a
    hundred thousand. Frames whose memory runs (T, H, W, 3) are scaled fastest.

    Raises ValueError for another shape or dtype, an unknown aspect, or another `frame_size`.
    """
    check_square(frame_size=frame_size, aspect=aspect)
    if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8:
        raise ValueError(
            f"frames are {tuple(frames.shape)} {frames.dtype}; expected (T, 3, H, W) torch.uint8"
        )
    return ASPECTS[aspect](frames, frame_size).contiguous()


def check_square(*, frame_size: int, aspect: str) -> None:
    """Raise ValueError for an unknown aspect, or a side that is no positive multiple of 64."""
    if aspect not in ASPECTS:
        raise ValueError(
            f"unknown aspect {aspect!r}; known are {', '.join(ASPECTS)}."
            f"{did_you_mean(aspect, ASPECTS)}"
        )
    if isinstance(frame_size, bool) or frame_size < 1 or frame_size % PX_PER_TOKEN:
        raise ValueError(
            f"frame_size is {frame_size}; it must be a positive multiple of {PX_PER_TOKEN} px, "
            f"such as 256, 512 or 1024"
        )


def _pad(frames: torch.Tensor, frame_size: int) -> torch.Tensor:
    """Add black bars until the frame is square, then scale; nothing of the frame is lost.

    Only the part of the square that the frame can reach is scaled. That part starts and ends where
    rows of the square and rows of the result have a common border, so its result is the same.
    Columns are scaled first, as they are in a single call, and bars above and below are added in
    between, when the frame is narrow and copying it costs little.
    """
    height, width = frames.shape[-2:]
    side = max(height, width)
    # LLaVA's rule for an odd rest: the larger bar is below, or to the right.
    top, left = (side - height) // 2, (side - width) // 2
    first_row, num_rows = _reached(top, height, side=side, frame_size=frame_size)
    first_column, num_columns = _reached(left, width, side=side, frame_size=frame_size)
    scaled_height, scaled_width = num_rows * frame_size // side, num_columns * frame_size // side
    wide = _placed(frames, (0, left - first_column), (height, num_columns))
    narrow = _scaled(wide, height, scaled_width)
    tall = _placed(narrow, (top - first_row, 0), (num_rows, scaled_width))
    scaled = _scaled(tall, scaled_height, scaled_width)
    top, left = first_row * frame_size // side, first_column * frame_size // side
    square = frames.new_zeros((len(frames), 3, frame_size, frame_size))
    square[:, :, top : top + scaled_height, left : left + scaled_width] = scaled
    return square


def _placed(frames: torch.Tensor, start: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    """Return frames on black ground of `size`, their first pixel at `start` (row, column)."""
    height, width = frames.shape[-2:]
    if size == (height, width):
        return frames
    ground = frames.new_zeros((len(frames), *size, 3)).permute(0, 3, 1, 2)
    top, left = start
    ground[:, :, top : top + height, left : left + width] = frames
    return ground


def _reached(start: int, length: int, *, side: int, frame_size: int) -> tuple[int, int]:
    """Return (first, number) of the rows of the square whose results the frame can reach."""
    step = side // math.gcd(side, frame_size)  # rows from one common border to the next
    margin = 2 * math.ceil(max(1.0, side / frame_size)) + 2  # reach of the bicubic kernel
    first = max(0, (start - margin) // step * step)
    last = min(side, -(-(start + length + margin) // step) * step)
    return first, last - first


def _crop(frames: torch.Tensor, frame_size: int) -> torch.Tensor:
    """Scale until the shorter side fits, then keep the centre."""
    height, width = content_size(*frames.shape[-2:], frame_size=frame_size, aspect="crop")
    top, left = (height - frame_size) // 2, (width - frame_size) // 2
    return _scaled(frames, height, width)[..., top : top + frame_size, left : left + frame_size]


def _stretch(frames: torch.Tensor, frame_size: int) -> torch.Tensor:
    """Scale both sides to fit, whatever that does to the proportions."""
    return _scaled(frames, frame_size, frame_size)


ASPECTS: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "pad": _pad,
    "crop": _crop,
    "stretch": _stretch,
}


def content_size(height: int, width: int, *, frame_size: int, aspect: str) -> tuple[int, int]:
    """Return (height, width) in px to which `aspect` scales a frame before it pads or crops."""
    if aspect == "stretch":
        return frame_size, frame_size
    fitted = max(height, width) if aspect == "pad" else min(height, width)
    return (
        max(1, int(frame_size * height / fitted)),
        max(1, int(frame_size * width / fitted)),
    )


def _scaled(frames: torch.Tensor, height: int, width: int) -> torch.Tensor:
    if frames.shape[-2:] == (height, width):
        return frames
    rows_last = frames.contiguous(memory_format=torch.channels_last)
    return torch.nn.functional.interpolate(
        rows_last, size=(height, width), mode="bicubic", antialias=True
    )
