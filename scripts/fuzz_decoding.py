"""What does the decoder do with files that random damage made, beside refusing them by MediaError?

    python scripts/fuzz_decoding.py --seconds 300  ->  number of faults, and the files in --out

Small sound clips of several containers are changed by atheris (`pip install -e .[fuzz]`), which
watches what our own code does with each and goes on from what is new. Every file is read by `probe`
and `read_clip`. Kept is a file by which the process dies, or needs more than 20 s or 2 GB, or from
which another error comes. The seed is fixed, so that a run can be repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import av
import numpy as np

SECONDS = 120
TIMEOUT_S = 20
MEMORY_MB = 2048
MOST_BYTES = 1 << 16
CLIPS = {
    "h264.mp4": ("libx264", "yuv420p", {"g": "3", "bf": "1"}),
    "h264.mkv": ("libx264", "yuv420p", {"g": "3"}),
    "h264.avi": ("libx264", "yuv420p", {"g": "3", "bf": "1"}),
    "mpeg4.mov": ("mpeg4", "yuv420p", {}),
    "mpeg2.ts": ("mpeg2video", "yuv420p", {}),
    "vp8.webm": ("libvpx", "yuv420p", {}),
    "vp9.mp4": ("libvpx-vp9", "yuv420p", {}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "gif.gif": ("gif", "rgb8", {}),
}


def main() -> None:
    """Make the clips, fuzz in a process of its own, and tell what came out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long to go on")
    parser.add_argument("--seed", type=int, default=1, help="of what is changed")
    parser.add_argument("--out", type=Path, default=Path("fuzzed"), help="where faults are kept")
    parser.add_argument("--inner", type=Path, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.inner is not None:
        fuzz(words.inner, words.out, seconds=words.seconds, seed=words.seed)
        return
    words.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        make_clips(Path(folder))
        inner = [sys.executable, __file__, "--inner", folder, "--out", str(words.out)]
        ran = subprocess.run([*inner, "--seconds", str(words.seconds), "--seed", str(words.seed)])
    faults = sorted(path.name for path in words.out.iterdir())
    print(f"{len(faults)} faults in {words.out}: {', '.join(faults[:10]) or 'none'}")
    raise SystemExit(1 if faults or ran.returncode else 0)


def make_clips(folder: Path) -> None:
    """Write a sound clip of 6 small frames in each container."""
    for name, (codec, pixels, options) in CLIPS.items():
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=10, options=options)
            stream.width, stream.height, stream.pix_fmt = 32, 32, pixels
            for number in range(6):
                picture = np.full((32, 32, 3), 40 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))


def fuzz(clips: Path, out: Path, *, seconds: int, seed: int) -> None:
    """Read changed clips until the time is over; atheris ends the process."""
    import atheris  # only this command needs it

    with atheris.instrument_imports(include=["flipbook.video"]):
        from flipbook.errors import MediaError
        from flipbook.video import probe, read_clip

    av.logging.set_level(av.logging.PANIC)
    path = clips.parent / f"{clips.name}.changed"

    def read_changed(content: bytes) -> None:
        path.write_bytes(content)
        for read in (probe, read_clip):
            try:
                read(path)
            except MediaError:
                continue
            except Exception:  # noqa: BLE001 - any other error is what is looked for
                digest = hashlib.sha256(content).hexdigest()[:16]
                (out / f"error-{digest}").write_bytes(content)
                (out / f"error-{digest}.txt").write_text(traceback.format_exc())

    limits = [f"-max_total_time={seconds}", f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MB}"]
    how = [f"-seed={seed}", f"-max_len={MOST_BYTES}", "-len_control=0", "-verbosity=1"]
    atheris.Setup(
        [sys.argv[0], *limits, *how, f"-artifact_prefix={out}/", str(clips)], read_changed
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
