"""Which questions are shown with their frames, and what do the frames look like?

    predictions  ->  keys of some right and some wrong ones of every task
    questions, keys  ->  gallery.json: small JPEG pictures of what the model saw

The pictures are those of `read_shown`, which training and answering see, only smaller.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from flipbook.data.shown import pictures_of, read_shown
from flipbook.data.turns import Media
from flipbook.data.written import write_json_whole
from flipbook.errors import MediaError
from flipbook.evaluate.file_names import GALLERY_FILE
from flipbook.score.prediction import Prediction
from flipbook.score.questions import AskedQuestion
from flipbook.video.clip import Clip
from flipbook.video.decode import shown_length_of
from flipbook.video.settings import ClipSettings

LIMIT = 24
FRAME_PX = 160
MOST_FRAMES = 16
JPEG_QUALITY = 80

Key = tuple[str, int]


def choose_gallery(predictions: Sequence[Prediction], *, limit: int = LIMIT) -> list[Key]:
    """Return the keys of at most `limit` predictions, in their order.

    Tasks take turns, and inside a task wrong and right answers do, so there are as many of each as
    there can be; those of a task that are right, or wrong, are spread evenly from first to last.
    """
    by_task: dict[str | None, tuple[list[int], list[int]]] = {}
    for place, prediction in enumerate(predictions):
        wrong_and_right = by_task.setdefault(prediction.task, ([], []))
        wrong_and_right[prediction.correct].append(place)
    shares = _in_turns([sum(map(len, groups)) for groups in by_task.values()], limit)
    chosen: list[int] = []
    for groups, share in zip(by_task.values(), shares, strict=True):
        parts = _in_turns([len(places) for places in groups], share)
        for places, part in zip(groups, parts, strict=True):
            chosen += [places[step * len(places) // part] for step in range(part)]
    return [predictions[place].key for place in sorted(chosen)]


def _in_turns(sizes: Sequence[int], limit: int) -> list[int]:
    """Return how many to take of each group when they take turns: sizes 1, 9, limit 4 -> 1, 3."""
    shares = [0] * len(sizes)
    left = min(limit, sum(sizes))
    while left > 0:
        for group, size in enumerate(sizes):
            if shares[group] < size and left > 0:
                shares[group] += 1
                left -= 1
    return shares


def make_gallery(
    questions: Sequence[AskedQuestion], settings: ClipSettings, keys: Collection[Key]
) -> dict[str, Any]:
    """Return the content of gallery.json: the chosen questions with what the model sees.

    Of more than `MOST_FRAMES` frames, as many are kept, spread evenly; `num_frames` tells how many
    there are. A clip that cannot be read has `fault`, the reason, and no frames.
    """
    wanted = set(keys)
    return {
        "items": [_item(question, settings) for question in questions if question.key in wanted]
    }


def write_gallery(folder: Path, gallery: Mapping[str, Any]) -> Path:
    """Return the path of gallery.json, after writing it whole."""
    path = folder / GALLERY_FILE
    write_json_whole(path, gallery)
    return path


def _item(question: AskedQuestion, settings: ClipSettings) -> dict[str, Any]:
    named: dict[str, Any] = {"record_id": question.record_id, "number": question.number}
    try:
        clips = [(item, read_shown(item, settings)) for item in question.media]
        duration_s = _duration_of(question.media)
    except MediaError as error:
        return {**named, "frames": [], "num_frames": 0, "duration_s": None, "fault": error.message}
    frames = [
        (pixels, None if item.kind == "image" else time_s)
        for item, clip in clips
        for pixels, time_s in _frames_of(clip)
    ]
    return {
        **named,
        "frames": [_small(pixels, time_s) for pixels, time_s in _spread(frames, MOST_FRAMES)],
        "num_frames": len(frames),
        "duration_s": duration_s,
    }


def _frames_of(clip: Clip) -> list[tuple[Tensor, float]]:
    return list(zip(clip.frames, clip.times_s.tolist(), strict=True))


def _duration_of(media: Sequence[Media]) -> float | None:
    """Return the seconds that a single video shows; None for anything else."""
    if len(media) != 1 or media[0].kind == "image" or pictures_of(media[0]):
        return None
    return shown_length_of(media[0].path, media[0].view)[0]


def _spread(
    frames: Sequence[tuple[Tensor, float | None]], most: int
) -> list[tuple[Tensor, float | None]]:
    """Return at most so many frames, the first and the last among them."""
    if len(frames) <= most:
        return list(frames)
    return [frames[round(place * (len(frames) - 1) / (most - 1))] for place in range(most)]


def _small(pixels: Tensor, time_s: float | None) -> dict[str, Any]:
    jpeg, (width, height) = small_jpeg(pixels, most_px=FRAME_PX)
    return {
        "jpeg": jpeg,
        "time_s": None if time_s is None else round(time_s, 3),
        "width": width,
        "height": height,
    }


def small_jpeg(pixels: Tensor, *, most_px: int) -> tuple[str, tuple[int, int]]:
    """Return a frame, uint8 (3, H, W), as a JPEG in base64, and its width and height in px.

    It is made smaller where a side is longer than `most_px`, and never larger.
    """
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    image.thumbnail((most_px, most_px), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return base64.b64encode(file.getvalue()).decode(), image.size
