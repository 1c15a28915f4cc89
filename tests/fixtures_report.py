"""A folder with all files that a report is made from, and text that tries to get out of it."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

HOSTILE = (
    "<script>document.title = 'got out'</script>",
    "\"quoted\" & 'quoted' </pre></details> {{ title }} ${title}",
    "\u200fמה קורה כאן? \u202eright to left\u202c",
    "word" * 60,
    "👩\u200d🚀🏳️\u200d🌈 猫が走る Übung",
    "first line\nsecond line | pipe `tick` *star*",
    "<img src=x onerror=alert(1)>",
)
TASKS = {
    "direction": "open",
    "order": "multiple_choice",
    "gesture": "classification",
    "count": "count",
    "describe": "caption",
    "when": "when",
}
CLASSES = ("wave", "swipe left", "swipe right", "push", "pull", "clap")
ROW_SKILLS = {
    "untuned": 0.3,
    "tuned": 0.75,
    "shuffled": 0.45,
    "reversed": 0.4,
    "single_frame": 0.38,
    "blank": 0.2,
    "other_clip": 0.22,
    "text_only": 0.24,
}
MEASURES = {
    "open": ("exact_match", "token_f1", "contains"),
    "multiple_choice": ("accuracy", "generated_accuracy", "unparsed", "consistent"),
    "classification": ("top_1", "top_5", "macro_f1", "generated_accuracy", "unparsed"),
    "count": ("accuracy", "within_one", "absolute_error", "unparsed"),
    "caption": ("rouge_l", "bleu_4", "chrf", "cider_d"),
    "when": ("tiou", "recall_at_0_3", "recall_at_0_5", "recall_at_0_7", "unparsed"),
}


def write_report_files(folder: Path, *, num_of_task: int = 12, num_in_gallery: int = 24) -> Path:
    """Return a folder, after writing into it all that a run and its evaluation leave behind."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = prediction_lines(num_of_task)
    _write_lines(folder / "predictions.jsonl", lines)
    _write_json(folder / "scores.json", scores_of(lines))
    _write_json(folder / "cost.json", COST)
    _write_json(folder / "sweep.json", SWEEP)
    tuned = [line for line in lines if line["row"] == "tuned"]
    step = max(len(tuned) // num_in_gallery, 1)
    _write_json(folder / "gallery.json", gallery_of(tuned[::step][:num_in_gallery]))
    write_run_files(folder)
    return folder


def write_run_files(folder: Path) -> None:
    """Write what a run leaves behind, without an evaluation."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "log.jsonl", log_lines())
    _write_lines(folder / "followed.jsonl", followed_lines())
    _write_json(folder / "data.json", DATA)
    _write_json(folder / "environment.json", ENVIRONMENT)
    config = f"model_name_or_path: tiny\nlearning_rate: 0.002\nrun_name: '{HOSTILE[0]}'\n"
    (folder / "config.yaml").write_text(config, encoding="utf-8")


def prediction_lines(num_of_task: int) -> list[dict[str, Any]]:
    """Return the lines of all rows; the same ones each time."""
    rng = np.random.default_rng(7)
    return [
        _prediction(row, task, kind, number, skill=skill, rng=rng)
        for row, skill in ROW_SKILLS.items()
        for task, kind in TASKS.items()
        for number in range(num_of_task)
    ]


def _prediction(
    row: str, task: str, kind: str, number: int, *, skill: float, rng: np.random.Generator
) -> dict[str, Any]:
    options = {"multiple_choice": ("red", "green", "blue", "pink"), "classification": CLASSES}
    own = options.get(kind, ())
    reference = own[number % len(own)] if own else f"answer {number}"
    is_right = bool(rng.random() < skill)
    value = 1.0 if is_right else round(float(rng.random()), 3) if kind == "caption" else 0.0
    wrong = own[(number + 1 + int(rng.integers(max(len(own) - 1, 1)))) % len(own)] if own else "?"
    line: dict[str, Any] = {
        "row": row,
        "record_id": f"{task}-{number:04d}",
        "number": 1,
        "task": task,
        "kind": kind,
        "video": f"{task}-{number // 3}.mp4",
        "question": HOSTILE[number] if number < len(HOSTILE) else f"What of {task} {number}?",
        "reference": reference,
        "answer": reference if is_right else HOSTILE[number % len(HOSTILE)],
        "correct": value >= 1,
        "value": value,
        "measures": {MEASURES[kind][0]: value},
    }
    if own:
        line["right_option"] = reference
        line["choice"] = reference if is_right else wrong
        others = [name for name in own if name != line["choice"]]
        ranked = [line["choice"], *others][:5]
        line["ranked"] = [[name, -0.4 - 1.3 * place] for place, name in enumerate(ranked)]
    return line


def scores_of(lines: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the content of scores.json, with intervals of a plausible width."""
    values: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        values.setdefault(line["row"], {}).setdefault(line["task"], []).append(line["value"])
    means = {row: {t: float(np.mean(v)) for t, v in tasks.items()} for row, tasks in values.items()}
    scores = {row: {"mean": float(np.mean([*own.values()])), **own} for row, own in means.items()}
    return {
        **scores,
        "still_images_before": {"mean": 0.92, "colour": 0.92},
        "still_images_after": {"mean": 0.9, "colour": 0.9},
        "num_questions": {row: {t: len(v) for t, v in own.items()} for row, own in values.items()}
        | dict.fromkeys(("still_images_before", "still_images_after"), {"colour": 50}),
        "num_videos": dict.fromkeys(scores, 24),
        "intervals": {
            row: {
                name: _around(value, 0.05 if name == "mean" else 0.2) for name, value in own.items()
            }
            for row, own in scores.items()
        },
        "kinds": {row: _kinds(skill) for row, skill in ROW_SKILLS.items()},
        "num_of_kind": {row: dict.fromkeys(MEASURES, 12) for row in ROW_SKILLS},
        "temporal_gain": {
            "value": 0.31,
            "low": 0.21,
            "high": 0.402,
            "p_value": 0.0001,
            "against": "shuffled",
        },
        "differences": {
            "tuned-untuned": {"value": 0.44, "low": 0.35, "high": 0.53, "p_value": 0.0001},
            "tuned-shuffled": {"value": 0.31, "low": 0.21, "high": 0.402, "p_value": 0.0001},
            "still_images_after-still_images_before": {
                "value": -0.02,
                "low": -0.06,
                "high": 0.01,
                "p_value": 0.31,
            },
        },
        "chance": {"mean": 0.161, "direction": 0.1, "order": 0.25, "gesture": 1 / 6},
        "verdict": "The tuned model scores 0.756, 0.315 before tuning: it learned. It scores 0.446 "
        "with the frames shuffled: it uses the order of frames.",
        "provenance": {"models": {"tuned": HOSTILE[0]}, "seeds": {"intervals": 0}},
    }


def _kinds(skill: float) -> dict[str, Any]:
    return {
        kind: {
            name: {"value": skill, "low": max(skill - 0.1, 0), "high": min(skill + 0.1, 1)}
            for name in names
        }
        for kind, names in MEASURES.items()
    }


def _around(value: float, width: float) -> list[float]:
    return [max(value - width, 0.0), min(value + width, 1.0)]


def _spread(value: float) -> dict[str, float]:
    return {"median": value, "low": value * 0.9, "high": value * 1.2}


COST = {
    "device": "cuda (NVIDIA H100)",
    "dtype": "bfloat16",
    "num_questions": 8,
    "frames": 8,
    "frame_size": 256,
    "visual_tokens": _spread(128.0),
    "prompt_tokens": _spread(171.0),
    "encode_ms": _spread(18.31),
    "prefill_ms": _spread(11.72),
    "ms_per_token": _spread(9.87),
    "peak_memory_bytes": 1_734_000_000,
    "peak_memory_is": "highest memory of tensors on the GPU",
}


def _point(frames: int, size: int, score: float, *, front: bool, pick: bool) -> dict[str, Any]:
    tokens = frames * (size // 64) ** 2
    return {
        "frames": frames,
        "frame_size": size,
        "visual_tokens": tokens,
        "score": score,
        "low": score - 0.06,
        "high": score + 0.05,
        "latency_ms": 9.0 + 0.11 * tokens,
        "on_front": front,
        "picked": pick,
    }


SWEEP = {
    "points": [
        _point(2, 128, 0.41, front=True, pick=False),
        _point(4, 128, 0.55, front=True, pick=False),
        _point(8, 128, 0.68, front=True, pick=False),
        _point(4, 256, 0.61, front=False, pick=False),
        _point(16, 128, 0.741, front=True, pick=True),
        _point(8, 256, 0.72, front=False, pick=False),
        _point(16, 256, 0.756, front=True, pick=False),
        _point(16, 512, 0.757, front=True, pick=False),
    ],
    "refused": [{"frames": 64, "frame_size": 512, "reason": "record a: needs 4,096 tokens <b>"}],
    "trained_at": {"frames": 8, "frame_size": 256},
    "rule": "the cheapest point whose score is not significantly below the best.",
    "num_questions": 200,
    "device": "cuda",
    "dtype": "bfloat16",
}
ENVIRONMENT = {
    "python": "3.11.7",
    "platform": "Linux",
    "gpus": ["NVIDIA H100"],
    "versions": {"torch": "2.15.0", "transformers": "5.23.0"},
}
DATA = {
    "train": {
        "files": [{"file": "train.jsonl", "sha256": "ab" * 32, "num_records": 1500}],
        "num_records": 1500,
        "num_conversations": 1498,
        "num_rejected": 2,
        "rejected": [
            {"record_id": HOSTILE[0], "reason": "clips/a.mp4 is missing"},
            {"record_id": "b", "reason": HOSTILE[1]},
        ],
        "num_videos": 600,
        "num_images": 0,
        "longest_tokens": 412,
        "median_tokens": 171.5,
        "tasks": dict.fromkeys(TASKS, 250),
    },
    "validation": {
        "files": [{"file": "validation.jsonl", "sha256": "cd" * 32, "num_records": 72}],
        "num_records": 72,
        "num_conversations": 72,
        "num_rejected": 0,
        "rejected": [],
        "num_videos": 24,
        "num_images": 0,
        "longest_tokens": 398,
        "median_tokens": 170.0,
        "tasks": dict.fromkeys(TASKS, 12),
    },
}


def log_lines() -> list[dict[str, Any]]:
    """Return what a run of 600 steps logs."""
    rng = np.random.default_rng(3)
    lines: list[dict[str, Any]] = []
    for step in range(10, 610, 10):
        decay = math.exp(-step / 160)
        rates = {"samples_per_s": 60 + float(rng.normal()), "tokens_per_s": 2300.0 + step / 10}
        lines.append(
            {
                "step": step,
                "loss": 0.25 + 2.4 * decay + 0.05 * float(rng.normal()),
                "grad_norm": 0.5 + 3 * decay,
                "learning_rate": 2e-5 * (1 - step / 620),
                "learning_rate_vision_tower": 2e-6 * (1 - step / 620),
                "epoch": step / 100,
                **rates,
            }
        )
        if step % 100 == 0:
            score = 0.76 - 0.46 * decay
            lines.append(
                {
                    "step": step,
                    "eval_loss": 0.5 + 2.1 * decay,
                    "eval_score": score,
                    "eval_accuracy": score - 0.03,
                    "eval_open_exact_match": score,
                    "eval_open_token_f1": min(score + 0.1, 1),
                    "eval_caption_rouge_l": score - 0.2,
                    "eval_caption_cider_d": 4 * score,
                    "eval_runtime": 3.1,
                    "eval_samples_per_second": 23.0,
                    **rates,
                }
            )
    return lines


def followed_lines() -> list[dict[str, Any]]:
    """Return what is answered to a few questions over steps."""
    return [
        {
            "step": step,
            "record_id": f"followed-{number}",
            "number": 1,
            "task": "direction",
            "question": HOSTILE[number] if number < len(HOSTILE) else "Which way does it move?",
            "reference": "left",
            "answer": "left" if step >= 100 * number else HOSTILE[0] if number == 2 else "white",
            "value": 1.0 if step >= 100 * number else 0.5 if number == 3 else 0.0,
        }
        for step in range(0, 700, 100)
        for number in range(8)
    ]


def gallery_of(lines: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the content of gallery.json, with pictures of a square that moves."""
    items = []
    for place, line in enumerate(lines):
        num_frames = (8, 4, 16)[place % 3]
        frames = [
            {"jpeg": _picture(frame / num_frames, place), "time_s": round(frame * 0.37, 3)}
            for frame in range(num_frames)
        ]
        item = {"record_id": line["record_id"], "number": line["number"], "frames": frames}
        items.append({**item, "duration_s": num_frames * 0.37})
    if items:
        items[0] |= {"num_frames": 64}
        items[-1] |= {"frames": [], "duration_s": None, "fault": "is missing <b>"}
    return {"items": items}


def _picture(share: float, hue: int) -> str:
    image = Image.new("RGB", (128, 128), (40, 60 + 5 * (hue % 20), 90))
    draw = ImageDraw.Draw(image)
    left = 8 + 88 * share
    draw.rectangle((left, 48, left + 26, 74), fill=(240, 240, 230))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode()


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
