"""Videos whose pictures say which frame they are.

    make_clip("a.mkv", num_frames=30, options="-c:v libx264") -> path
    number_of(picture) -> 17

A picture is a grid of 4 x 3 cells. The first row is red, green, blue, white: a wrong colour order,
rotation or mirroring cannot be read. The other eight cells are the bits of the frame's number,
black or white, the highest first.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

Picture = npt.NDArray[np.uint8]
MakeClip = Callable[..., Path]

_MARKS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255))
_COLUMNS, _ROWS = 4, 3


def numbered_picture(number: int, *, width: int = 96, height: int = 72) -> Picture:
    """Return the picture of frame `number`, below 256: (height, width, 3)."""
    bits = [255 * (number >> place & 1) for place in range(7, -1, -1)]
    cells = np.array([*_MARKS, *[(bit, bit, bit) for bit in bits]], dtype=np.uint8)
    grid = cells.reshape(_ROWS, _COLUMNS, 3)
    rows = np.arange(height) * _ROWS // height
    columns = np.arange(width) * _COLUMNS // width
    return grid[rows][:, columns]


def number_of(picture: Picture) -> int:
    """Return the number in an upright (H, W, 3) picture, or fail when it cannot be read."""
    height, width = picture.shape[:2]
    rows = (2 * np.arange(_ROWS) + 1) * height // (2 * _ROWS)
    columns = (2 * np.arange(_COLUMNS) + 1) * width // (2 * _COLUMNS)
    cells = picture[rows][:, columns].astype(int)
    marks = cells[0]
    assert (np.abs(marks - np.array(_MARKS)) < 100).all(), f"marks are {marks.tolist()}"
    bits = cells[1:].mean(axis=2).ravel()
    assert ((bits < 80) | (bits > 175)).all(), f"cells are {bits.tolist()}"
    return int("".join("1" if bit > 127 else "0" for bit in bits), 2)


def run_ffmpeg(*arguments: str | Path, data: bytes | None = None) -> bytes:
    """Return what the ffmpeg program prints for `arguments`; its failure fails the test."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def frames_by_ffmpeg(path: Path, *, width: int, height: int) -> Picture:
    """Return every frame that the ffmpeg program displays: (total, height, width, 3)."""
    as_stored = ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    raw = run_ffmpeg("-i", path, *as_stored, "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> MakeClip:
    """Return a function that makes a numbered video once, and gives its path ever after."""
    folder = tmp_path_factory.mktemp("clips")

    @cache
    def make(
        name: str,
        *,
        num_frames: int = 30,
        size: tuple[int, int] = (96, 72),
        rate: int = 30,
        options: str = "-c:v libx264 -g 10 -pix_fmt yuv420p",
        times_ms: Sequence[int] | None = None,
    ) -> Path:
        path = folder / name
        assert not path.exists(), f"{name} is made twice with different options"
        width, height = size
        pictures = [numbered_picture(n, width=width, height=height) for n in range(num_frames)]
        if times_ms is not None:
            write_timed(path, pictures, times_ms)
            return path
        source = f"-f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {rate} -i -".split()
        run_ffmpeg(*source, *options.split(), path, data=b"".join(p.tobytes() for p in pictures))
        return path

    return make


def write_timed(path: Path, pictures: Sequence[Picture], times_ms: Sequence[int]) -> None:
    """Write `pictures` with a presentation time for each, so with any rate at all."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "10", "g": "6"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for picture, time_ms in zip(pictures, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
