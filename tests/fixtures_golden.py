"""Which ways of training must give the same losses, and which losses are they?

CLASSES: name -> ways; the first way of a class made its curve in `golden/NAME.json`
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from fixtures_data import SHORT_RUN
from flipbook.data.generated.write import GeneratedData
from flipbook.train.parsing import parse_arguments
from flipbook.train.run import train

GOLDEN = Path(__file__).parent / "golden"
NUM_STEPS = 8
ALL_PARTS = ["vision_tower", "projector", "language_model"]
COMMON: dict[str, Any] = {
    "max_steps": NUM_STEPS,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "questions_per_pass": 1,
}
WHOLE = {"per_device_train_batch_size": 99}  # every step sees all records, in whatever order
Way = dict[str, Any]
CLASSES: dict[str, dict[str, Way]] = {
    "accumulation": {
        "4x1": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1},
        "2x2": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
        "1x4": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
    },
    "checkpointing": {
        "kept": {"train_parts": ALL_PARTS, "activation_checkpointing": False},
        "twice": {"train_parts": ALL_PARTS, "activation_checkpointing": True},
    },
    "workers": {
        "none": {"frame_sampler": "segments"},
        "two": {"frame_sampler": "segments", "dataloader_num_workers": 2},
    },
    "features": {
        "live": {"frame_features": "live"},
        "stored": {"frame_features": "store"},
    },
    "prefix": {
        "apart": WHOLE,
        "shared": WHOLE | {"questions_per_pass": 8},
        "by_tokens": {"questions_per_pass": 8, "max_batch_tokens": 100_000},
    },
}


def several_questions(data: GeneratedData) -> Path:
    """Return a manifest with four questions about each of three clips."""
    rows = [row for row in json.loads(data.train.read_text()) if "video" in row][:3]
    asked = []
    for row in rows:
        for number in range(4):
            question, answer = row["conversations"][:2]
            turns = [question | {"value": f"{question['value']} ({number})"}, answer]
            asked.append({**row, "id": f"{row['id']}-{number}", "conversations": turns})
    path = data.folder / "several_questions.json"
    path.write_text(json.dumps(asked))
    return path


def losses_of(way: Way, *, model: Path, data_path: Path, folder: Path) -> list[float]:
    """Return the loss of each step of a run."""
    settings = SHORT_RUN | COMMON | way
    settings |= {"model_name_or_path": model, "data_path": data_path, "output_dir": folder / "run"}
    parts = settings.pop("train_parts", ["projector", "language_model"])
    words = [f"--{name}={value}" for name, value in settings.items()]
    train(parse_arguments([*words, "--train_parts", *parts]), console=Console(file=io.StringIO()))
    lines = map(json.loads, (folder / "run" / "log.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def data_of(name: str, data: GeneratedData) -> Path:
    """Return the manifest on which a class is trained."""
    return several_questions(data) if name == "prefix" else data.train
