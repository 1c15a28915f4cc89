"""How far is a model in its other homes from what it is in torch?

    python benchmarks/homes.py  ->  benchmarks/results/homes.md

The embedded model, and the tower of true size at 256 px with random weights that see, are written
for each home and computed there. Differences are the largest of all numbers, in units of the
largest number. A home whose packages are missing is left out, and the page says so.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from encode import full_size
from flipbook.data.labels.conversation import encode_prompt
from flipbook.data.turns import Media, Turn
from flipbook.export.coreml import compare_coreml, write_coreml
from flipbook.export.mlx import write_mlx
from flipbook.export.mlx_chat import MlxModel, load_mlx, logits_mlx
from flipbook.export.onnx import Features, compare_onnx, write_onnx
from flipbook.export.vision import Eyes, example_images
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.fastvlm import normalise_frames
from flipbook.model.generation import Prompt
from flipbook.video.settings import ClipSettings
from hardware import processor

RESULT_FILE = Path(__file__).parent / "results" / "homes.md"
FULL_SIDE = 256


def main() -> None:
    torch.set_num_threads(1)
    tiny = load_checkpoint("tiny")
    full = Checkpoint(full_size(), tiny.tokenizer, ClipSettings(frame_size=FULL_SIDE))
    rows = []
    for name, checkpoint in (("embedded", tiny), ("full size", full)):
        rows += [*vision_rows(name, checkpoint)]
    rows += mlx_rows(tiny)
    for row in rows:
        print(row, flush=True)
    RESULT_FILE.write_text(page(rows))
    print(f"written to {RESULT_FILE}")


def vision_rows(name: str, checkpoint: Checkpoint) -> list[tuple[str, str, str]]:
    """Return the rows of ONNX and Core ML, whose features are compared."""
    images = example_images(checkpoint, 5)[2:]
    rows = []
    if importlib.util.find_spec("onnxruntime"):
        with tempfile.TemporaryDirectory() as folder:
            path = write_onnx(folder, checkpoint)
            difference = compare_onnx(path, Features(Eyes(checkpoint)), images)
            rows.append((f"ONNX, {name}", "features of 3 frames", f"{difference:.1e}"))
    if importlib.util.find_spec("coremltools"):
        with tempfile.TemporaryDirectory() as folder:
            path = write_coreml(folder, checkpoint)
            difference = compare_coreml(path, Eyes(checkpoint), images[:1])
            rows.append((f"Core ML, {name}", "features of a frame", f"{difference:.1e}"))
    return rows


def mlx_rows(checkpoint: Checkpoint) -> list[tuple[str, str, str]]:
    """Return the rows of mlx-vlm, whose logits are compared, as it is and put right."""
    if not importlib.util.find_spec("mlx_vlm"):
        return []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_mlx(write_mlx(folder, checkpoint))
        right = type(loaded.model)
        for way, kind in (("load_mlx", right), ("mlx-vlm alone", right.__mro__[1])):
            loaded.model.__class__ = kind
            for num_frames in (1, 2, 4, 8):
                difference = mlx_difference(checkpoint, loaded, num_frames)
                rows.append(
                    (f"MLX, embedded, {way}", f"logits, {num_frames} frames", f"{difference:.1e}")
                )
    return rows


def mlx_difference(checkpoint: Checkpoint, loaded: MlxModel, num_frames: int) -> float:
    """Return the largest difference of the logits at all places of a prompt."""
    input_ids = encode_prompt(
        [Turn("user", (Media("video", "clip.mp4"), "Which way does the circle move?"))],
        tokenizer=checkpoint.tokenizer,
        image_token_id=checkpoint.model.config.image_token_id,
        frames_per_media=[num_frames],
        tokens_per_frame=checkpoint.clip_settings.tokens_per_frame,
    )
    frames = (example_images(checkpoint, num_frames) * 255).to(torch.uint8)
    with torch.no_grad():
        ours = checkpoint.model(
            input_ids=input_ids[None], pixel_values=normalise_frames(frames)
        ).logits[0]
    theirs = logits_mlx(loaded, Prompt("benchmark", input_ids, frames))
    return float(np.abs(theirs - ours.numpy()).max() / ours.abs().max())


def page(rows: list[tuple[str, str, str]]) -> str:
    """Return the results as Markdown."""
    packages = ("onnx", "onnxruntime", "coremltools", "mlx", "mlx-vlm", "torch")
    versions = [f"{name} {_version(name)}" for name in packages]
    lines = [
        "# How far is a model in its other homes from what it is in torch?",
        "",
        f"{datetime.date.today().isoformat()}, {processor()}; {', '.join(versions)}.",
        "`python benchmarks/homes.py` measures it again. Largest difference over largest number;",
        "Core ML's program is computed operation by operation in torch, not by Core ML.",
        "",
        "| home and model | what is compared | largest difference |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


if __name__ == "__main__":
    main()
