"""Which clips are asked about which questions in the benchmarks?

    folder, kind of file, numbers -> Asked: a manifest, and the same questions one by one
    Asked, tokenizer -> flipbook's data set of them

The questions of a clip differ in their words and lengths, and so do the answers.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import decode
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.train.arguments import DataArguments

QUESTIONS = (
    "Which way does the bar move?",
    "What is seen first, and what is seen last?",
    "How many colours are there in the picture, and which of them is the brightest of all?",
    "Does anything appear or vanish?",
    "Is the clip speeding up or slowing down towards its end?",
    "What changes?",
    "Tell in one sentence what happens in this clip.",
    "Would the clip look the same if it were played backwards?",
    "When does the counter turn over: at the start, in the middle or at the end?",
    "Where is the square when the clip begins?",
    "Is the camera moving?",
    "Which of the shapes is the largest one, and where does it go?",
)
ANSWERS = (
    "To the right.",
    "First a test picture with bars of colour, last the same picture with another number.",
    "Seven; white.",
    "Nothing does.",
    "Neither.",
    "The number at the bottom, and a small square that wanders from the left to the right.",
    "A test picture is on display while a counter runs.",
    "No, the counter would run down.",
)
SMOKE_FILE = decode.File("smoke.mp4", "128x72", "-c:v libx264 -preset veryfast -pix_fmt yuv420p")


@dataclass(frozen=True)
class Asked:
    """Questions about clips: `manifest` for flipbook, `rows` of (path, question, answer)."""

    manifest: Path
    rows: tuple[tuple[str, str, str], ...]


def make_asked(
    folder: Path, file: decode.File, *, num_clips: int, questions_per_clip: int, seconds: int
) -> Asked:
    """Return questions about clips that are copies of one file, clip by clip."""
    source = folder / file.name
    if not source.exists():
        decode.make(file, folder, seconds=seconds)
    rows = []
    for clip in range(num_clips):
        path = folder / f"{clip:03d}-{file.name}"
        if not path.exists():
            shutil.copyfile(source, path)
        for number in range(clip, clip + questions_per_clip):
            question = QUESTIONS[number % len(QUESTIONS)]
            rows.append((str(path), question, ANSWERS[number % len(ANSWERS)]))
    manifest = folder / f"asked-{file.name}-{num_clips}x{questions_per_clip}.json"
    manifest.write_text(json.dumps([_record(number, row) for number, row in enumerate(rows)]))
    return Asked(manifest, tuple(rows))


def _record(number: int, row: tuple[str, str, str]) -> dict[str, Any]:
    path, question, answer = row
    turns = [
        {"from": "human", "value": f"<video>\n{question}"},
        {"from": "gpt", "value": answer},
    ]
    return {"id": f"{number:04d}", "video": path, "conversations": turns}


def make_dataset(
    asked: Asked, *, tokenizer: Any, num_frames: int, side: int, **settings: Any
) -> LazySupervisedDataset:
    """Return flipbook's data set of these questions; `settings` are fields of DataArguments."""
    arguments = DataArguments(
        image_folder=str(asked.manifest.parent),
        num_video_frames=num_frames,
        frame_size=side,
        **settings,
    )
    return LazySupervisedDataset(str(asked.manifest), tokenizer, arguments)
