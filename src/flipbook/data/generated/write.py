"""Where do the generated clips and their questions lie on disk?

    folder, seed -> FOLDER/clips/*.mp4, FOLDER/images/*.png and the manifests

    train.json       clips and some still pictures to replay, one row per question
    validation.json  other clips, to watch the training by
    test.json        other clips again, for the claim
    images.json      held-out still pictures, to see what was unlearned

The splits draw from disjoint seeds. One seed gives the same bytes every time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipbook.data.generated.movies import FRAMES_PER_S, Question, draw_movie
from flipbook.data.generated.scenes import TASKS, make_movie
from flipbook.data.generated.shapes import draw_picture
from flipbook.data.generated.stills import STILL_TASKS, make_still
from flipbook.data.written import make_folder

SPLITS = ("train", "validation", "test")
SEEDS_PER_SPLIT = 1_000_000
TRAINING_SHARE = {"count": 2}  # times as many training clips as the other tasks: it needs them
ENCODER_OPTIONS = {"crf": "12", "preset": "veryfast", "threads": "1"}

Row = dict[str, Any]


@dataclass(frozen=True)
class GeneratedData:
    """The folder that was written, and its four manifests."""

    folder: Path
    train: Path
    validation: Path
    test: Path
    images: Path


def write_generated_data(
    folder: str | Path,
    *,
    clips_per_task: int = 150,
    validation_clips_per_task: int = 6,
    test_clips_per_task: int = 24,
    replay_images: int = 550,
    test_images_per_task: int = 24,
    seed: int = 0,
) -> GeneratedData:
    """Write clips, pictures and manifests under `folder`, made if need be; return the paths.

    Args:
        folder: existing files of the same names are replaced, others are left alone.
        clips_per_task: training clips of each of the seven tasks, twice as many of the hardest;
            about half carry two questions.
        validation_clips_per_task: clips of each task in `validation.json`.
        test_clips_per_task: clips of each task in `test.json`.
        replay_images: still pictures among the training rows, over all still tasks.
        test_images_per_task: pictures of each still task in `images.json`.
        seed: same seed, same bytes.

    Raises:
        StorageError: the folder cannot be made.
    """
    folder = Path(folder)
    for name in ("clips", "images"):
        make_folder(folder / name)
    rows: dict[str, list[Row]] = {}
    counts = (clips_per_task, validation_clips_per_task, test_clips_per_task)
    for split, count in zip(SPLITS, counts, strict=True):
        rows[split] = _write_clips(folder, split=split, clips_per_task=count, seed=seed)
    per_task = -(-replay_images // len(STILL_TASKS))
    replay = _write_stills(folder, split="train", images_per_task=per_task, seed=seed)
    rows["train"] += replay[:replay_images]
    rows["images"] = _write_stills(
        folder, split="test", images_per_task=test_images_per_task, seed=seed
    )
    for name, listed in rows.items():
        (folder / f"{name}.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    return GeneratedData(folder, *(folder / f"{name}.json" for name in (*SPLITS, "images")))


def write_clip(
    path: str | Path, frames: NDArray[np.uint8], *, frames_per_s: Fraction | int = FRAMES_PER_S
) -> None:
    """Write uint8 RGB frames (T, H, W, 3) as an H.264 mp4, the same bytes every time."""
    with av.open(str(path), mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=frames_per_s, options=ENCODER_OPTIONS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def split_seed(split: str, *, seed: int, number: int) -> int:
    """Return the seed of one clip or picture; no two splits of one run share any."""
    if number >= SEEDS_PER_SPLIT:
        raise ValueError(f"clip number {number} of a task: a split has {SEEDS_PER_SPLIT:,} seeds")
    return (seed * len(SPLITS) + SPLITS.index(split)) * SEEDS_PER_SPLIT + number


def _write_clips(folder: Path, *, split: str, clips_per_task: int, seed: int) -> list[Row]:
    """Write one split's clips, a task after the other in turn, and return its rows."""
    rows = []
    shares = TRAINING_SHARE if split == "train" else {}
    for number in range(clips_per_task * max(shares.values(), default=1)):
        for task in TASKS:
            if number >= clips_per_task * shares.get(task, 1):
                continue
            movie = make_movie(task, seed=split_seed(split, seed=seed, number=number))
            path = f"clips/{split}-{task}-{number:04d}.mp4"
            write_clip(folder / path, draw_movie(movie))
            rows += _rows(path, key="video", questions=movie.questions)
    return rows


def _write_stills(folder: Path, *, split: str, images_per_task: int, seed: int) -> list[Row]:
    rows = []
    for number in range(images_per_task):
        for task in STILL_TASKS:
            still_seed = split_seed(split, seed=seed, number=number)
            picture, question = make_still(task, seed=still_seed)
            path = f"images/{split}-{task}-{number:04d}.png"
            Image.fromarray(draw_picture(picture)).save(folder / path)
            rows += _rows(path, key="image", questions=(question,))
    return rows


def _rows(path: str, *, key: str, questions: Iterable[Question]) -> list[Row]:
    """Return one LLaVA-style row for each question about one file."""
    return [
        {
            "id": f"{Path(path).stem}-{number}",
            key: path,
            "conversations": [
                {"from": "human", "value": f"<{key}>\n{question.text}"},
                {"from": "gpt", "value": question.answer},
            ],
            "task": question.task,
        }
        for number, question in enumerate(questions)
    ]
