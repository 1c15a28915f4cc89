"""What can a tuned model do that it could not before, and what does it read?

    start model, tuned model, records  ->  predictions of every row  ->  report in a folder

The two models are in memory one after the other, and both see the clips as the tuned one was
trained to see them. Where several processes were started together, each answers its share, and the
first writes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from flipbook.data.features.store import FeatureStore
from flipbook.data.records import Record
from flipbook.errors import DataError
from flipbook.evaluate.cost import Cost, measure_cost
from flipbook.evaluate.gallery import choose_gallery, make_gallery
from flipbook.evaluate.loading import Source, name_of, open_model
from flipbook.evaluate.progress import passing_bar
from flipbook.evaluate.report import Report, report_of, write_report
from flipbook.evaluate.rows import ROW_OF_CONTROL, STILLS_AFTER, STILLS_BEFORE, TUNED, UNTUNED
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.encoder import encoder_fingerprint
from flipbook.score.answering import answer_questions
from flipbook.score.controls import FULL
from flipbook.score.kinds.table import judge, missing_measures
from flipbook.score.opinions.ask import with_opinions
from flipbook.score.prediction import Prediction
from flipbook.score.processes import this_process
from flipbook.score.questions import (
    AskedQuestion,
    choose_questions,
    questions_of,
    with_short_video_names,
)
from flipbook.train.record import environment, file_sha256
from flipbook.video.settings import ClipSettings


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How answers are made and judged.

    Attributes:
        max_questions: bounds the questions of each row, even over tasks; None takes all.
        dtype: of the weights of models that are loaded here.
        adapter_base: the model under a tuned adapter, where it is no longer in its place.
        feature_store: folder where features of the vision tower are looked for and kept; None
            encodes every clip here.
        feature_store_max_bytes: most that it may hold; None is nine tenths of what is free.
        judge_model, similarity_model: that give their opinion of open answers, see
            `flipbook.score.opinions`; None for none.
        num_cost_questions: on which times and memory are measured; 0 for none.
        num_in_gallery: questions shown with their frames; 0 for none.
    """

    batch_size: int = 16
    max_new_tokens: int = 64
    max_questions: int | None = None
    dtype: torch.dtype = torch.float32
    adapter_base: str | Path | None = None
    feature_store: str | Path | None = None
    feature_store_max_bytes: int | None = None
    judge_model: str | None = None
    similarity_model: str | None = None
    num_cost_questions: int = 8
    num_in_gallery: int = 24
    show_progress: bool = True


def evaluate_model(
    records: Sequence[Record],
    *,
    tuned: Source,
    untuned: Source | None,
    output_folder: str | Path,
    run_folder: str | Path | None = None,
    still_image_records: Sequence[Record] = (),
    clip_settings: ClipSettings | None = None,
    settings: EvaluationSettings | None = None,
    data_files: Iterable[str | Path] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Report:
    """Return the scores and claims, after writing the report into `output_folder`.

    A model given by its name is loaded for its turn and let go after it; one that is in memory is
    used where it is. `untuned` None leaves its rows out. `clip_settings` None takes those of the
    tuned model. `data_files` and `provenance` are noted in the report. `run_folder` tells of the
    training, where it is another folder than that of the report.

    Raises:
        DataError: the records hold no question.
        MediaError, RecordError: a clip or a prompt is bad; no record is left out in silence.
        CheckpointError: a model cannot be loaded.
    """
    settings = settings or EvaluationSettings()
    clips, stills = (
        with_short_video_names(choose_questions(questions_of(those), settings.max_questions))
        for those in (records, still_image_records)
    )
    if not clips:
        raise DataError("the records hold no question to evaluate on: add assistant turns to them.")
    jobs = [_Job(TUNED, clips, ROW_OF_CONTROL)]
    jobs += [_Job("tuned, still images", stills, {FULL: STILLS_AFTER})] if stills else []
    first = _answer(tuned, jobs, clip_settings=clip_settings, settings=settings, is_tuned=True)
    predictions = first.predictions | _before(
        untuned, clips, stills, clip_settings=first.clip_settings, settings=settings
    )
    predictions, opinions = _with_opinions(predictions, settings)
    facts = {
        "models": {"tuned": name_of(tuned), "untuned": name_of(untuned)},
        "data_files": {str(path): file_sha256(path) for path in data_files},
        **first.facts,
        **({"opinions": opinions} if opinions else {}),
        "not_measured": missing_measures(),
        "environment": environment(),
        **(provenance or {}),
    }
    report = report_of(predictions, questions=clips, provenance=facts)
    if this_process() == 0:
        shown = choose_gallery(predictions[TUNED], limit=settings.num_in_gallery)
        write_report(
            output_folder,
            report,
            run_folder=run_folder,
            cost=first.cost,
            gallery=make_gallery(clips, first.clip_settings, shown) if shown else None,
        )
    return report


def _before(
    untuned: Source | None,
    clips: Sequence[AskedQuestion],
    stills: Sequence[AskedQuestion],
    *,
    clip_settings: ClipSettings,
    settings: EvaluationSettings,
) -> dict[str, list[Prediction]]:
    """Return the rows of the model before tuning; none where there is no such model."""
    if untuned is None:
        return {}
    jobs = [_Job(UNTUNED, clips, {FULL: UNTUNED})]
    if stills:
        jobs.append(_Job("untuned, still images", stills, {FULL: STILLS_BEFORE}))
    return _answer(untuned, jobs, clip_settings=clip_settings, settings=settings).predictions


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
    cost: Cost | None


def _answer(
    source: Source,
    jobs: Sequence[_Job],
    *,
    clip_settings: ClipSettings | None,
    settings: EvaluationSettings,
    is_tuned: bool = False,
) -> _Answers:
    """Load one model, let it answer, and let it go: nothing that is returned holds on to it.

    Of the tuned one the base may have moved, and its costs are measured.
    """
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
    base = settings.adapter_base if is_tuned else None
    checkpoint = open_model(source, dtype=settings.dtype, base=base)
    clip_settings = clip_settings or checkpoint.clip_settings
    store = _open_store(checkpoint, settings)
    predictions: dict[str, list[Prediction]] = {}
    for job in jobs:
        with passing_bar(
            job.title, total=len(job.questions), is_shown=settings.show_progress
        ) as on_progress:
            by_control = answer_questions(
                checkpoint,
                job.questions,
                settings=clip_settings,
                controls=tuple(job.row_of_control),
                store=store,
                batch_size=settings.batch_size,
                max_new_tokens=settings.max_new_tokens,
                on_progress=on_progress,
            )
        for control, answers in by_control.items():
            pairs = zip(job.questions, answers, strict=True)
            judged = [judge(asked, answer) for asked, answer in pairs if answer is not None]
            if judged:
                predictions[job.row_of_control[control]] = judged
    cost = None
    if is_tuned and settings.num_cost_questions and this_process() == 0:
        cost = measure_cost(
            checkpoint,
            jobs[0].questions,
            settings=clip_settings,
            num_questions=settings.num_cost_questions,
        )
    return _Answers(predictions, clip_settings, _facts(checkpoint, clip_settings, settings), cost)


def _facts(
    checkpoint: Checkpoint, clip_settings: ClipSettings, settings: EvaluationSettings
) -> dict[str, Any]:
    return {
        "clip_settings": asdict(clip_settings),
        "generation": {
            "decoding": "greedy",
            "batch_size": settings.batch_size,
            "max_new_tokens": settings.max_new_tokens,
            "dtype": str(checkpoint.model.dtype).removeprefix("torch."),
            "device": checkpoint.model.device.type,
        },
        "seeds": {
            "shuffled": "sha256 of the record id",
            "other_clip": "sha256 of the record id and the question's number",
            "intervals": 0,
        },
    }


def _open_store(checkpoint: Checkpoint, settings: EvaluationSettings) -> FeatureStore | None:
    if settings.feature_store is None:
        return None
    return FeatureStore(
        settings.feature_store,
        encoder=encoder_fingerprint(
            checkpoint.model, image_mean=checkpoint.image_mean, image_std=checkpoint.image_std
        ),
        max_bytes=settings.feature_store_max_bytes,
    )


def _with_opinions(
    predictions: dict[str, list[Prediction]], settings: EvaluationSettings
) -> tuple[dict[str, list[Prediction]], dict[str, Any]]:
    """Return the predictions of all rows with the measures of models that read them."""
    names = {
        "judge_model": settings.judge_model,
        "similarity_model": settings.similarity_model,
    }
    if not any(names.values()):
        return predictions, {}
    flat = [item for judged in predictions.values() for item in judged]
    judged, facts = with_opinions(flat, **names)
    left = iter(judged)
    return {row: [next(left) for _ in items] for row, items in predictions.items()}, facts
