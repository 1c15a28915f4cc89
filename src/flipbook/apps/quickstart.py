"""`flipbook quickstart`: watch a FastVLM learn what no single frame can tell.

seed -> clips made on the spot -> the embedded model tuned on them -> scores with controls
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from rich.console import Console

from flipbook.apps.train import LastingConsole, claim, learn, print_places
from flipbook.data.generated.write import GeneratedData, write_generated_data
from flipbook.data.records import read_records
from flipbook.data.sources import Source
from flipbook.errors import ArgumentError
from flipbook.train.parsing import parse_arguments

NUM_KEPT_RUNS = 1000

RECIPE = {
    "model_name_or_path": "tiny",
    "num_video_frames": 8,
    "frame_size": 128,
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "warmup_steps": 0.1,
    "lr_scheduler_type": "cosine",
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 32,
    "frame_features": "store",
    "max_steps": 600,
    "eval_strategy": "steps",
    "eval_steps": 200,
    "save_strategy": "steps",
    "save_steps": 200,
    "eval_num_answers": 84,
    "max_new_tokens": 12,
    "report_num_questions": 1000,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `flipbook quickstart`."""
    parser.add_argument("--output_dir", default="runs/quickstart", help="run folder to make")
    parser.add_argument("--seed", type=int, default=42, help="of clips and training")
    parser.add_argument("--clips_per_task", type=int, default=150, help="training clips of a task")
    parser.add_argument(
        "--test_clips_per_task", type=int, default=24, help="held-out clips of a task"
    )
    parser.add_argument(
        "--max_steps", type=int, default=RECIPE["max_steps"], help="optimizer steps"
    )


def run(args: argparse.Namespace) -> None:
    """Make clips, train on them, score, and print the table.

    Raises:
        ArgumentError: a number is below 1.
    """
    for name in ("clips_per_task", "test_clips_per_task", "max_steps"):
        if getattr(args, name) < 1:
            raise ArgumentError(f"--{name} is {getattr(args, name)}: it must be 1 or more.")
    console = LastingConsole(highlight=False, soft_wrap=True)
    folder = Path(args.output_dir)
    keep_previous(folder, console=console)
    console.print("Making clips whose questions no single frame can answer ...")
    data = write_generated_data(folder / "data", clips_per_task=args.clips_per_task, seed=args.seed)
    arguments = parse_arguments(_flags(args, data))
    sources = [Source(str(data.test)), Source(str(data.images))]
    result = learn(
        arguments, console=console, then=lambda run: claim(arguments, run, sources, console=console)
    )
    print_places(result, console=console)
    (first, *_) = read_records(data.test).records
    console.print(
        "\nAsk it something yourself:\n"
        f"  {_program()} chat --model {folder} --video {os.path.relpath(first.media[0].path)} "
        f'"{first.conversations[0][0].text}"',
        markup=False,
    )


def _program() -> str:
    """Return the words that call flipbook from here."""
    if shutil.which("flipbook"):
        return "flipbook"
    return f"{os.path.relpath(sys.executable)} -m flipbook"


def keep_previous(folder: Path, *, console: Console) -> None:
    """Move a run that is in the way to `FOLDER-1`, `FOLDER-2`, ...; nothing is lost."""
    if not folder.exists():
        return
    for number in range(1, NUM_KEPT_RUNS):
        kept = folder.with_name(f"{folder.name}-{number}")
        if not kept.exists():
            folder.rename(kept)
            console.print(f"The earlier run is kept as {kept}", markup=False)
            return
    raise ArgumentError(f"{folder} and {NUM_KEPT_RUNS} kept runs beside it exist. Remove some.")


def _flags(args: argparse.Namespace, data: GeneratedData) -> list[str]:
    settings = {
        **RECIPE,
        "max_steps": args.max_steps,
        "seed": args.seed,
        "output_dir": args.output_dir,
        "data_path": data.train,
        "validation_data_path": data.validation,
    }
    return [f"--{name}={value}" for name, value in settings.items()]
