"""What does each way of showing a clip bring, and what does it cost?

    python benchmarks/techniques.py [--smoke] [--only NAME ...]
        ->  benchmarks/results/techniques.md

The embedded model is tuned on the clips of the temporal suite once for each technique, with all
else equal, and scored on held-out ones. Every difference from plain frames is that on the same
questions, with its 95 % interval and a permutation test over clips. Times are taken in turns, after
all training. `--smoke` runs everything once on a few clips and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers

from flipbook.data.generated.asking import task_of
from flipbook.data.generated.scenes import NEEDS, ORDER
from flipbook.data.generated.suite import Suite, write_suite
from flipbook.data.records import read_records
from flipbook.evaluate.cost import measure_cost
from flipbook.evaluate.differences import difference_of
from flipbook.evaluate.predictions_file import read_predictions
from flipbook.model.checkpoint import load_checkpoint
from flipbook.score.intervals import Difference
from flipbook.score.prediction import Prediction
from flipbook.score.questions import questions_of
from measuring import circumstances, table, write_page

RESULT_FILE = Path(__file__).parent / "results" / "techniques.md"
PLAIN = "frames"
FRAMES, FRAME_SIZE = 8, 128
TIMED_QUESTIONS, TIMED_ROUNDS = 8, 5
RECIPE = {
    "model_name_or_path": "tiny",
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "warmup_steps": 0.1,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 32,
    "eval_strategy": "no",
    "save_strategy": "no",
    "eval_num_answers": 0,
    "follow_num_answers": 0,
    "max_new_tokens": 16,
    "proof_records": 0,
    "report_num_questions": 100_000,
    "num_video_frames": FRAMES,
    "frame_size": FRAME_SIZE,
    "dataloader_num_workers": 0,
}
STORED = {"frame_features": "store"}

# What each technique is told beside the recipe, and what it is.
TECHNIQUES: dict[str, tuple[dict[str, object], str]] = {
    PLAIN: (STORED, "one frame after the other"),
    "more frames": (STORED | {"num_video_frames": 16}, "16 in place of 8"),
    "larger frames": (STORED | {"frame_size": 256}, "256 px in place of 128"),
    "grid": (STORED | {"frame_layout": "grid"}, "all frames in one picture of 128 px"),
    "large grid": (
        STORED | {"frame_layout": "grid", "frame_size": 384},
        "all frames in one picture of 384 px",
    ),
    "pooled": (STORED | {"frame_layout": "pooled"}, "2x2 tokens of a frame become one"),
    "spatio-temporal": (
        STORED | {"frame_layout": "spatio_temporal"},
        "means over time, then over space",
    ),
    "slow-fast": (
        STORED | {"frame_layout": "slow_fast"},
        "8 frames of 64 px, then 2 of 128 px",
    ),
    "timestamps": (STORED | {"timestamps": "true"}, "the instant in words before each frame"),
    "sparse clips": (
        STORED | {"frame_sampler": "sparse", "clip_share": 0.5, "feature_views": 4},
        "half the clip, drawn; 4 halves averaged afterwards",
    ),
    "changing frames": (
        STORED | {"min_frame_change": 1.0},
        "near-repeats dropped, of 32 frames the 8 that change most",
    ),
    "augmentation": ({"augment": "true"}, "crops in time, mirrors, light"),
}


@dataclass(frozen=True)
class Outcome:
    """What a run with one technique left."""

    folder: Path
    rows: Mapping[str, Sequence[Prediction]]
    scores: Mapping[str, Any]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train_clips_per_task", type=int, default=80)
    parser.add_argument("--clips_per_task", type=int, default=20)
    parser.add_argument("--max_steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=list(TECHNIQUES), default=list(TECHNIQUES))
    parser.add_argument("--folder", help="keep clips and runs here; runs that are there are used")
    parser.add_argument("--smoke", action="store_true", help="once, small, without a result file")
    given = parser.parse_args(words)
    if given.smoke:
        given.train_clips_per_task, given.clips_per_task, given.max_steps = 2, 1, 2
    names = list(dict.fromkeys([PLAIN, *given.only]))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(given.folder or scratch)
        suite = write_suite(
            folder / "suite",
            clips_per_task=given.clips_per_task,
            train_clips_per_task=given.train_clips_per_task,
        )
        outcomes = {}
        for name in names:
            outcomes[name] = outcome_of(name, suite, folder, given)
            print(f"{name:<16} {outcomes[name].scores['tuned']['mean']:.3f}", flush=True)
        latency = latencies(outcomes, suite, rounds=1 if given.smoke else TIMED_ROUNDS)
    lines = page(outcomes, latency, given)
    print("\n".join(lines))
    if not given.smoke and names == list(TECHNIQUES):
        write_page(RESULT_FILE, lines)
    return 0


def outcome_of(name: str, suite: Suite, folder: Path, given: argparse.Namespace) -> Outcome:
    """Return what a run with a technique left, after training it unless it is there."""
    run_folder = folder / name.replace(" ", "_")
    if not (run_folder / "scores.json").is_file():
        settings = {
            **RECIPE,
            "max_steps": given.max_steps,
            "seed": given.seed,
            "data_path": suite.train,
            "validation_data_path": suite.test,
            "output_dir": run_folder,
            **TECHNIQUES[name][0],
        }
        if "frame_features" in settings:
            settings["feature_store"] = folder / "features"
        flags = [f"--{flag}={value}" for flag, value in settings.items()]
        threads = os.environ | {"OMP_NUM_THREADS": str(given.threads)}
        command = [sys.executable, "-m", "flipbook", "train", *flags]
        subprocess.run(command, check=True, env=threads, stdout=subprocess.DEVNULL)
    scores = json.loads((run_folder / "scores.json").read_text(encoding="utf-8"))
    return Outcome(run_folder, read_predictions(run_folder / "predictions.jsonl"), scores)


def latencies(
    outcomes: Mapping[str, Outcome], suite: Suite, *, rounds: int
) -> dict[str, tuple[float, float]]:
    """Return each technique's visual tokens, and ms from frames to the first token, in turns."""
    torch.set_num_threads(1)
    questions = questions_of(read_records(str(suite.test)).records)
    models = {name: load_checkpoint(one.folder / "model") for name, one in outcomes.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in models}
    for _ in range(rounds):
        for name, checkpoint in models.items():
            cost = measure_cost(
                checkpoint,
                questions,
                settings=checkpoint.clip_settings,
                num_questions=TIMED_QUESTIONS,
            )
            found[name].append((cost.visual_tokens.median, cost.latency_ms))
    return {
        name: (told[0][0], statistics.median(ms for _, ms in told)) for name, told in found.items()
    }


def of_need(outcome: Outcome, need: str | None) -> list[Prediction]:
    """Return the predictions, frames in order, of tasks that need order, or something else."""
    return [
        prediction
        for prediction in outcome.rows["tuned"]
        if need is None or (NEEDS[task_of(prediction.task or "")] == need)
    ]


def compared(outcome: Outcome, plain: Outcome, need: str | None) -> str:
    """Return a mean over tasks, and its difference from that of plain frames."""
    own, base = of_need(outcome, need), of_need(plain, need)
    if not own:
        return ""
    of_task: dict[str | None, list[float]] = {}
    for prediction in own:
        of_task.setdefault(prediction.task, []).append(prediction.value)
    mean = statistics.fmean(statistics.fmean(values) for values in of_task.values())
    apart = None if outcome is plain else difference_of(own, base)
    return f"{mean:.3f}" if apart is None else f"{mean:.3f} ({in_words(apart)})"


def in_words(apart: Difference) -> str:
    """Return a difference with its interval and a star where it is more than chance."""
    star = "*" if apart.p_value < 0.05 else ""
    return f"{apart.value:+.3f}{star} [{apart.low:+.3f}, {apart.high:+.3f}]"


def page(
    outcomes: Mapping[str, Outcome],
    latency: Mapping[str, tuple[float, float]],
    given: argparse.Namespace,
) -> list[str]:
    """Return the lines of the result file."""
    plain = outcomes[PLAIN]
    needs = list(dict.fromkeys(NEEDS[task_of(p.task or "")] for p in plain.rows["tuned"]))
    needs.sort(key=lambda need: need != ORDER)
    rows: list[list[object]] = []
    for name, outcome in outcomes.items():
        gain = outcome.scores["temporal_gain"]
        tokens, ms = latency[name]
        rows.append(
            [
                name,
                TECHNIQUES[name][1],
                f"{tokens:.0f}",
                compared(outcome, plain, None),
                *(compared(outcome, plain, need) for need in needs),
                f"{gain['value']:.3f}",
                ms / latency[PLAIN][1],
            ]
        )
    header = ["technique", "what it is", "visual tokens", "all tasks", *needs]
    header += ["temporal gain", "time to first token"]
    num_questions = len(plain.rows["tuned"])
    return [
        "# Techniques on the temporal suite",
        "",
        circumstances(transformers=transformers.__version__),
        "",
        f"The embedded model, {given.max_steps} steps on {given.train_clips_per_task} clips of "
        f"each task, seed {given.seed}; scored on {num_questions} held-out questions. {FRAMES} "
        f"frames of {FRAME_SIZE} px unless said. Means over tasks; in brackets the difference from "
        f"`{PLAIN}` on the same questions with its 95 % interval, a star where p < 0.05. Times "
        f"are ratios to `{PLAIN}`.",
        "",
        *table(header, rows),
    ]


if __name__ == "__main__":
    sys.exit(main())
