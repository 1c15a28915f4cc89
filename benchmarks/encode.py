"""What does it bring to encode frames a few at a time?

    python benchmarks/encode.py  ->  benchmarks/results/encode.md

The frozen tower encodes the same frames twice: all in one call, as `get_image_features` does with
the pixel values of a batch, and as `encode_frames` does, a megapixel at a time in channels-last
order. Repetitions alternate. A ratio above 1 says how many times longer the one call takes.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import timm
import torch
from transformers import FastVlmConfig, FastVlmForConditionalGeneration

from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.fastvlm import encode_frames, normalise_frames
from flipbook.model.initialise import initialise_
from hardware import processor

RESULT_FILE = Path(__file__).parent / "results" / "encode.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tiny, full = load_checkpoint("tiny").model, full_size()
    cases = [
        ("embedded", tiny, 128, 256),
        ("embedded", tiny, 128, 128),
        ("embedded", tiny, 256, 64),
        ("FastViTHD", full, 256, 32),
    ]
    rows = []
    for name, model, side, num_frames in cases:
        rows.append(measure(name, model, side, num_frames, repetitions=arguments.repetitions))
        print(rows[-1], flush=True)
    RESULT_FILE.parent.mkdir(exist_ok=True)
    RESULT_FILE.write_text(page(rows, arguments.repetitions))
    print(f"written to {RESULT_FILE}")


def full_size() -> Any:
    """Return the real tower and projector before a language model of one small layer."""
    text = {
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 64,
    }
    config = FastVlmConfig(text_config=text, image_token_index=1)
    model = FastVlmForConditionalGeneration(config)
    initialise_(model, seed=0, frame_size=128)  # plain random weights give denormals, which crawl
    return model.eval()


def measure(name: str, model: Any, side: int, num_frames: int, *, repetitions: int) -> str:
    """Return one row of the table: medians of seconds, and their ratio."""
    frames = torch.randint(0, 256, (num_frames, 3, side, side), dtype=torch.uint8)

    def in_one_call() -> None:
        model.get_image_features(pixel_values=normalise_frames(frames))

    ways: dict[str, Callable[[], object]] = {
        "one call": in_one_call,
        "few": lambda: encode_frames(model, frames),
    }
    spent: dict[str, list[float]] = {way: [] for way in ways}
    with torch.no_grad():
        for repetition in range(repetitions + 1):
            for way, encode in ways.items():
                start = time.process_time()
                encode()
                if repetition:  # the first one warms caches up
                    spent[way].append(time.process_time() - start)
    one, few = (statistics.median(times) for times in spent.values())
    ms_per_frame = 1000 / num_frames
    return (
        f"| {name} | {side} | {num_frames} | {one * ms_per_frame:.1f} | {few * ms_per_frame:.1f} "
        f"| {one / few:.2f} |"
    )


def page(rows: list[str], repetitions: int) -> str:
    return "\n".join(
        [
            "# Encoding: a few frames at a time beside all in one call",
            "",
            f"{datetime.date.today()}, {processor()}, one thread; "
            f"Python {platform.python_version()}, torch {torch.__version__} "
            f"({torch.backends.cpu.get_cpu_capability()}), timm {timm.__version__}.",
            f"float32, median CPU time of {repetitions} interleaved repetitions.",
            "",
            "| tower | side, px | frames | one call, ms a frame | a few at a time | ratio |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            "Printed by `python benchmarks/encode.py`.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
