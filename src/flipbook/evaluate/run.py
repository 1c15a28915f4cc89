"""What can a tuned model do that it could not before, and what does it read?

    start model, tuned model, records  ->  predictions of every row  ->  report in a folder

The two models are in memory one after the other, and both see the clips as the tuned one was
trained to see them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flipbook.data.records import Record
from flipbook.errors import DataError
from flipbook.evaluate.loading import Source, name_of, open_model
from flipbook.evaluate.metrics import Score
from flipbook.evaluate.report import write_report
from flipbook.evaluate.scoring import (
    AskedQuestion,
    OnProgress,
    Prediction,
    choose_questions,
    predict_controls,
    questions_of,
)
from flipbook.train.record import environment, file_sha256
from flipbook.video.settings import ClipSettings

ROW_OF_CONTROL = {
    "full": "tuned",
    "shuffled": "shuffled",
    "reversed": "reversed",
    "single_frame": "single_frame",
    "blank": "blank",
}


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How answers are made.

    `max_questions` bounds the questions of each row, even over tasks; None takes all.
    `dtype` is that of the weights of models that are loaded here, and `adapter_base` the model
    under a tuned adapter, where it is no longer in its place.
    """

    batch_size: int = 16
    max_new_tokens: int = 64
    max_questions: int | None = None
    dtype: torch.dtype = torch.float32
    adapter_base: str | Path | None = None
    show_progress: bool = True


def evaluate_model(
    records: Sequence[Record],
    *,
    tuned: Source,
    untuned: Source | None,
    output_folder: str | Path,
    still_image_records: Sequence[Record] = (),
    clip_settings: ClipSettings | None = None,
    settings: EvaluationSettings | None = None,
    data_files: Iterable[str | Path] = (),
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Score]:
    """Return the score of each row, after writing the report into `output_folder`.

    A model given by its name is loaded for its turn and let go after it; one that is in memory is
    used where it is. `untuned` None leaves its rows out. `clip_settings` None takes those of the
    tuned model. `data_files` and `provenance` are noted in the report.

    Raises:
        DataError: the records hold no question.
        MediaError, RecordError: a clip or a prompt is bad; no record is left out in silence.
        CheckpointError: a model cannot be loaded.
    """
    settings = settings or EvaluationSettings()
    clips = choose_questions(questions_of(records), settings.max_questions)
    stills = choose_questions(questions_of(still_image_records), settings.max_questions)
    if not clips:
        raise DataError("the records hold no question to evaluate on: add assistant turns to them.")
    jobs = [_Job("tuned", clips, ROW_OF_CONTROL)]
    jobs += [_Job("tuned, still images", stills, {"full": "still_images_after"})] if stills else []
    base = settings.adapter_base
    first = _answer(tuned, jobs, base=base, clip_settings=clip_settings, settings=settings)
    predictions = first.predictions
    if untuned is not None:
        jobs = [_Job("untuned", clips, {"full": "untuned"})]
        if stills:
            jobs.append(_Job("untuned, still images", stills, {"full": "still_images_before"}))
        second = _answer(untuned, jobs, clip_settings=first.clip_settings, settings=settings)
        predictions |= second.predictions
    facts = {
        "models": {"tuned": name_of(tuned), "untuned": name_of(untuned)},
        "data_files": {str(path): file_sha256(path) for path in data_files},
        **first.facts,
        "environment": environment(),
        **(provenance or {}),
    }
    return write_report(output_folder, predictions=predictions, provenance=facts)


def split_still_images(
    records: Iterable[Record],
) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Return the records with a clip or without any media, and those about still images alone.

    Where no record has a clip, all are in the first: there is nothing to compare stills with.
    """
    records = tuple(records)
    if not any(media.kind == "video" for record in records for media in record.media):
        return records, ()
    stills = tuple(record for record in records if _shows_stills_alone(record))
    return tuple(record for record in records if not _shows_stills_alone(record)), stills


@dataclass(frozen=True)
class _Job:
    """Questions that one model answers, and the row that its answers under a control make."""

    title: str
    questions: Sequence[AskedQuestion]
    row_of_control: Mapping[str, str]


@dataclass(frozen=True)
class _Answers:
    predictions: dict[str, list[Prediction]]
    clip_settings: ClipSettings
    facts: dict[str, Any]


def _answer(
    source: Source,
    jobs: Sequence[_Job],
    *,
    base: str | Path | None = None,
    clip_settings: ClipSettings | None,
    settings: EvaluationSettings,
) -> _Answers:
    """Load one model, let it answer, and let it go: nothing that is returned holds on to it."""
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
    checkpoint = open_model(source, dtype=settings.dtype, base=base)
    clip_settings = clip_settings or checkpoint.clip_settings
    predictions: dict[str, list[Prediction]] = {}
    for job in jobs:
        with _progress(job.title, len(job.questions), shown=settings.show_progress) as on_progress:
            by_control = predict_controls(
                checkpoint,
                job.questions,
                settings=clip_settings,
                controls=tuple(job.row_of_control),
                batch_size=settings.batch_size,
                max_new_tokens=settings.max_new_tokens,
                on_progress=on_progress,
            )
        predictions |= {job.row_of_control[control]: by_control[control] for control in by_control}
    facts = {
        "clip_settings": asdict(clip_settings),
        "generation": {
            "decoding": "greedy",
            "batch_size": settings.batch_size,
            "max_new_tokens": settings.max_new_tokens,
            "dtype": str(checkpoint.model.dtype).removeprefix("torch."),
            "device": checkpoint.model.device.type,
        },
        "seeds": {"shuffled": "sha256 of the record id"},
    }
    return _Answers(predictions, clip_settings, facts)


@contextmanager
def _progress(title: str, total: int, *, shown: bool) -> Iterator[OnProgress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not shown, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _shows_stills_alone(record: Record) -> bool:
    return bool(record.media) and all(media.kind == "image" for media in record.media)
