"""What does `read_clip` cost beside decord, in CPU time?

    python benchmarks/decode.py  ->  benchmarks/results/decode.md

Both give the same frames of the same files as 512 px squares: `read_clip` by itself, decord by
`get_batch` and PIL's bicubic resize. Repetitions alternate, so that a busy machine burdens both.
A ratio above 1 says how many times more CPU time decord takes.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import imageio_ffmpeg
import numpy as np
import torch
from PIL import Image

from flipbook.video import read_clip
from hardware import processor

FRAME_SIZE = 512
RESULT_FILE = Path(__file__).parent / "results" / "decode.md"
SOURCE = "testsrc2=size={size}:rate=30:duration={seconds},noise=alls=8:allf=t"


@dataclass(frozen=True)
class File:
    """One video to read, and how ffmpeg makes it."""

    name: str
    size: str
    options: str


FILES = (
    File("h264_720p.mp4", "1280x720", "-c:v libx264 -preset veryfast -pix_fmt yuv420p"),
    File("h264_1080p.mp4", "1920x1080", "-c:v libx264 -preset veryfast -pix_fmt yuv420p"),
    File(
        "hevc_720p.mp4",
        "1280x720",
        "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=none",
    ),
    File("vp9_720p.webm", "1280x720", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M"),
    File("mpeg4_720p.mp4", "1280x720", "-c:v mpeg4 -q:v 5"),
    File("mjpeg_720p.avi", "1280x720", "-c:v mjpeg -q:v 5 -pix_fmt yuvj420p"),
    File("wmv2_720p.wmv", "1280x720", "-c:v wmv2 -q:v 5"),
    File("flv1_720p.flv", "1280x720", "-c:v flv1 -q:v 5"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8, help="length of each video")
    parser.add_argument("--files", nargs="*", help="names of the files to measure; all by default")
    arguments = parser.parse_args()
    try:
        import decord
    except ImportError:
        print(
            "decord is not installed, and this benchmark compares with it; "
            "run `pip install decord` in a throw-away environment",
            file=sys.stderr,
        )
        return 2
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for file in FILES:
            if arguments.files and file.name not in arguments.files:
                continue
            path = make(file, Path(folder), seconds=arguments.seconds)
            for num_frames in (8, 32):
                rows.append(measure(path, num_frames, repetitions=arguments.repetitions))
                print(rows[-1], flush=True)
            path.unlink()
    if not arguments.files:
        RESULT_FILE.parent.mkdir(exist_ok=True)
        RESULT_FILE.write_text(page(rows, arguments, decord_version=decord.__version__))
        print(f"written to {RESULT_FILE}")
    return 0


def make(file: File, folder: Path, *, seconds: int) -> Path:
    path = folder / file.name
    source = SOURCE.format(size=file.size, seconds=seconds)
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run(
        [program, "-v", "error", "-f", "lavfi", "-i", source, *file.options.split(), str(path)],
        check=True,
    )
    return path


def with_decord(path: Path, num_frames: int) -> np.ndarray:
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    indices = np.linspace(0, len(reader) - 1, num_frames, dtype=int)
    frames = reader.get_batch(indices).asnumpy()
    return np.stack([resized(frame) for frame in frames])


def resized(frame: np.ndarray) -> np.ndarray:
    image = Image.fromarray(frame)
    return np.asarray(image.resize((FRAME_SIZE, FRAME_SIZE), Image.Resampling.BICUBIC))


def measure(path: Path, num_frames: int, *, repetitions: int) -> str:
    """Return one row of the table: medians of CPU ms per clip, and their ratio."""
    readers: dict[str, Callable[[], object]] = {
        "exact": lambda: read_clip(
            path, num_frames=num_frames, frame_size=FRAME_SIZE, aspect="stretch"
        ),
        "snap": lambda: read_clip(
            path, num_frames=num_frames, frame_size=FRAME_SIZE, aspect="stretch", frame_snap=0.25
        ),
        "decord": lambda: with_decord(path, num_frames),
    }
    spent: dict[str, list[float]] = {name: [] for name in readers}
    for repetition in range(repetitions + 1):
        for name, read in readers.items():
            start = time.process_time()
            try:
                read()
            except Exception as error:  # noqa: BLE001 - decord raises its own, undocumented kinds
                if name != "decord":
                    raise
                print(f"decord cannot read {path.name}: {str(error).splitlines()[0]}")
                spent[name].append(float("nan"))
                continue
            if repetition:  # the first one warms caches up
                spent[name].append(time.process_time() - start)
    exact, snap, other = (1000 * statistics.median(times) for times in spent.values())
    return (
        f"| {path.name} | {num_frames} | {exact:.0f} | {snap:.0f} | {other:.0f} "
        f"| {other / exact:.2f} | {other / snap:.2f} |"
    )


def page(rows: list[str], arguments: argparse.Namespace, *, decord_version: str) -> str:
    return "\n".join(
        [
            "# Decoding: `read_clip` beside decord",
            "",
            f"{datetime.date.today()}, {processor()}, one thread; "
            f"Python {platform.python_version()}, PyAV {av.__version__}, "
            f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), "
            f"decord {decord_version}.",
            f"Videos of {arguments.seconds} s at 30 frames/s, {FRAME_SIZE} px squares, median of "
            f"{arguments.repetitions} interleaved repetitions. `snap` is `frame_snap=0.25`.",
            "",
            "| file | frames | read_clip, CPU ms | with snap | decord + PIL, CPU ms "
            "| decord / read_clip | decord / snap |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "Printed by `python benchmarks/decode.py`.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
