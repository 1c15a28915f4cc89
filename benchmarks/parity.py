"""Does every home of a checkpoint see the same pixels and say the same words?

    python benchmarks/parity.py [--models tiny 0.5b]  ->  benchmarks/results/parity.md

One clip goes through pairs of readers: the folder as written and the folder after a way through
Apple's layout and back; flipbook's loader and plain `transformers`; and, where their packages are
installed, MLX and ONNX. Each row gives the largest difference of a pair: of the pixels (in steps of
1/255), of what the tower hands to the language model, of the logits of the last prompt position,
and how many of the greedy tokens are equal before the first that is not.

`tiny` is the embedded, trained model; `0.5b` has the true size and random weights, needs the
development tools, and takes about 12 GB of memory and some minutes.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
import transformers
from torch import Tensor

from flipbook.data.generated.write import write_clip
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint
from flipbook.model.weights import read_tensors
from hardware import processor
from readers import Reader, Reading, further_homes, in_flipbook, in_pipeline_parts, in_transformers

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

RESULT_FILE = Path(__file__).parent / "results" / "parity.md"
FRAME_COUNTS = (1, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=["tiny", "0.5b"], default=["tiny"])
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    rows: list[str] = []
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            for row in compare(name, Path(folder)):
                rows.append(row)
                print(row, flush=True)
    RESULT_FILE.parent.mkdir(exist_ok=True)
    RESULT_FILE.write_text(page(rows))
    print(f"written to {RESULT_FILE}")


def compare(name: str, folder: Path) -> Iterator[str]:
    """Yield the rows of one model."""
    clip = folder / "clip.mp4"
    write_clip(clip, moving_picture())
    hf, apple, back = write_layouts(name, folder)
    yield tensors_row(name, hf, back)
    ours = {num: in_flipbook(hf)(clip, num) for num in FRAME_COUNTS}
    pairs: dict[str, Callable[[], Reader]] = {
        "hf -> apple": lambda: in_flipbook(apple),
        "hf -> apple -> hf": lambda: in_flipbook(back),
        "plain transformers": lambda: in_transformers(hf, backend="torchvision"),
        "plain transformers, pictures by Pillow": lambda: in_transformers(hf, backend="pil"),
        "transformers with flipbook's processor": lambda: in_pipeline_parts(hf),
        **further_homes(hf, folder),
    }
    for pair, make_reader in pairs.items():
        reader = make_reader()
        for num in FRAME_COUNTS:
            yield row_of(name, pair, num, ours[num], reader(clip, num))
        del reader
        gc.collect()


def moving_picture(*, height: int = 360, width: int = 640, num_frames: int = 24) -> Any:
    """Return uint8 (T, H, W, 3): a bright spot that crosses coloured stripes and fine grain."""
    grain = np.random.default_rng(0).normal(0, 0.08, (height, width, 3))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    frames = []
    for number in range(num_frames):
        spot = np.exp(-((x - 80 - 20 * number) ** 2 + (y - height / 2) ** 2) / 3200)
        colours = [0.5 + 0.3 * np.sin(x / (23 + 9 * c) + y / (31 - 7 * c) + c) for c in range(3)]
        picture = np.stack([0.6 * colour + 0.4 * spot for colour in colours], axis=-1) + grain
        frames.append((picture.clip(0, 1) * 255).astype(np.uint8))
    return np.stack(frames)


def write_layouts(name: str, folder: Path) -> tuple[Path, Path, Path]:
    """Return folders of one model: Hugging Face's layout, Apple's, and Hugging Face's again."""
    hf, apple, back = folder / "hf", folder / "llava-apple", folder / "back"
    checkpoint = load_checkpoint("tiny", dtype=None) if name == "tiny" else full_size()
    save_checkpoint(hf, checkpoint)
    del checkpoint
    save_apple_checkpoint(apple, load_checkpoint(hf, dtype=None))
    save_checkpoint(back, load_checkpoint(apple, dtype=None))
    gc.collect()
    return hf, apple, back


def full_size() -> Checkpoint:
    """Return a FastVLM-0.5B of true size with random weights that see, in bfloat16."""
    from make_random_checkpoint import make_checkpoint

    return make_checkpoint("0.5b", frame_size=256, seed=0, layout="hf", dtype=torch.bfloat16)


def tensors_row(name: str, first: Path, second: Path) -> str:
    """Return the row that compares every stored tensor, bit by bit."""
    left, right = read_tensors(first), read_tensors(second)
    same = left.keys() == right.keys() and all(
        left[key].dtype == right[key].dtype and torch.equal(left[key], right[key]) for key in left
    )
    word = "all equal" if same else "DIFFERENT"
    return f"| {name} | stored tensors, hf -> apple -> hf | | {len(left)} tensors: {word} | | | |"


def row_of(name: str, pair: str, num_frames: int, first: Reading, second: Reading) -> str:
    """Return one row of the table."""
    pixels = difference(first.pixels, second.pixels, scale=255.0)
    features = difference(first.features, second.features)
    logits = difference(first.logits, second.logits)
    words = agreement(first.new_ids, second.new_ids)
    return f"| {name} | {pair} | {num_frames} | {pixels} | {features} | {logits} | {words} |"


def difference(first: Tensor | None, second: Tensor | None, *, scale: float = 1.0) -> str:
    """Return the largest difference of two tensors as text; a dash where one has none."""
    if first is None or second is None:
        return "–"
    if first.shape != second.shape:
        return f"shapes {tuple(first.shape)} and {tuple(second.shape)}"
    if torch.equal(first, second):
        return "0"
    return f"{(first.double() - second.double()).abs().max().item() * scale:.2g}"


def agreement(first: list[int] | None, second: list[int] | None) -> str:
    """Return how many tokens two answers have in common before the first that differs."""
    if first is None or second is None:
        return "–"
    same = len(os.path.commonprefix([first, second]))
    return f"{same} of {max(len(first), len(second))}"


def page(rows: list[str]) -> str:
    return "\n".join(
        [
            "# Parity: one checkpoint in every home",
            "",
            f"{datetime.date.today()}, {processor()}; Python {platform.python_version()}, "
            f"torch {torch.__version__}, transformers {transformers.__version__}.",
            "Largest differences from flipbook's own reading of Hugging Face's layout; float32.",
            "`tiny` is the embedded, trained model; `0.5b` has the true size and random weights.",
            "",
            "| model | pair | frames | pixels, of 255 | features | logits | equal tokens |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "Printed by `python benchmarks/parity.py --models tiny 0.5b`.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
