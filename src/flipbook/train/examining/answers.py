"""How good are the answers of a model in training to some validation questions?

    validation data  ->  Examination: questions, chosen evenly over tasks, and how they are asked
    model            ->  Predictions  ->  {"accuracy": 0.5, "score": 0.4, "open_token_f1": 0.6, ...}

That a question can be judged is known before the first step, and so is what will be measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.features.store import FeatureStore
from flipbook.data.sources import Source
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.evaluating import evaluating
from flipbook.score.answering import answer_questions
from flipbook.score.askable import read_askable
from flipbook.score.controls import FULL
from flipbook.score.kinds.choice import reordered
from flipbook.score.kinds.table import judge, measures_of
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import (
    MULTIPLE_CHOICE,
    AskedQuestion,
    choose_questions,
    questions_of,
)
from flipbook.train.arguments import Arguments, TrainingArguments
from flipbook.video.settings import ClipSettings


@dataclass(frozen=True)
class Examination:
    """Questions that a model in training is asked, and how.

    Attributes:
        questions: in their order.
        settings: how clips are read.
        batch_size: prompts that are answered together.
        max_new_tokens: longest generated answer.

    Raises:
        RecordError: what would be right cannot be told from a record.
    """

    questions: tuple[AskedQuestion, ...]
    settings: ClipSettings
    batch_size: int = 16
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        _ = self.names

    @property
    def names(self) -> tuple[str, ...]:
        """What `metrics_of` tells, where every answer can be read."""
        return tuple(metrics_of([judge(asked, _told_answer(asked)) for asked in self.questions]))

    def part(self, number: int) -> Examination:
        """Return the same with at most `number` of its questions, spread over tasks."""
        return replace(self, questions=choose_questions(self.questions, number))

    def sit(
        self,
        checkpoint: Checkpoint,
        *,
        model: Any,
        store: FeatureStore | None = None,
        divided: bool = True,
    ) -> list[Prediction]:
        """Return what a model answers, judged; every process gets all of it.

        Args:
            checkpoint: gives the tokenizer and the statistics of pictures.
            model: as it is now; it is left as it was found.
            store: where features of a frozen tower are kept, if they are.
            divided: see `flipbook.score.processes.in_all`.

        Raises:
            MediaError: a clip cannot be read.
            RecordError: a prompt cannot be made.
        """
        with evaluating(model):
            answers = answer_questions(
                checkpoint,
                self.questions,
                settings=self.settings,
                controls=(FULL,),
                store=store,
                batch_size=self.batch_size,
                max_new_tokens=self.max_new_tokens,
                model=model,
                divided=divided,
            )[FULL]
        pairs = zip(self.questions, answers, strict=True)
        return [judge(question, answer) for question, answer in pairs if answer is not None]


def make_examination(
    dataset: LazySupervisedDataset, args: TrainingArguments, *, max_bad_fraction: float
) -> Examination | None:
    """Return the questions that a run asks of its validation data; None where it asks none.

    Records that were left out of the data are left out here.

    Raises:
        DataError: the records cannot be read, or too many do not tell what is right.
    """
    if args.eval_num_answers == 0:
        return None
    found = read_askable(dataset.table.sources, max_bad_fraction=max_bad_fraction)
    left_out = {error.record_id for error in dataset.check.rejected}
    questions = questions_of(record for record in found.records if record.id not in left_out)
    if not questions:
        return None
    return Examination(
        choose_questions(questions, args.eval_num_answers),
        dataset.settings,
        batch_size=args.per_device_eval_batch_size,
        max_new_tokens=args.max_new_tokens,
    )


def check_claim(sources: Sequence[Source], arguments: Arguments) -> None:
    """Check that what a run will be scored on tells what is right, where it is to be scored.

    Raises:
        ManifestError: a file cannot be read at all.
        DataError: too many records cannot be used.
    """
    if sources and arguments.training.report_num_questions > 0:
        read_askable(sources, max_bad_fraction=arguments.data.max_bad_fraction)


def metrics_of(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Return what is logged of some predictions; a measure that says nothing is left out.

    `accuracy` is the mean of `Prediction.value` over questions, and `score` its mean over tasks,
    which all weigh the same. Then comes `KIND_MEASURE` for every measure of every kind.
    """
    by_task: dict[str | None, list[float]] = {}
    by_kind: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        by_task.setdefault(prediction.task, []).append(prediction.value)
        by_kind.setdefault(prediction.kind, []).append(prediction)
    found = {
        "accuracy": fmean(prediction.value for prediction in predictions),
        "score": fmean(fmean(values) for values in by_task.values()),
    }
    for kind, own in by_kind.items():
        for name, measure in measures_of(own).items():
            found[f"{kind}_{name}"] = measure.value
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _told_answer(question: AskedQuestion) -> Answer:
    """Return what the record tells as the answer, with all of which a measure might speak."""
    is_put_again = question.kind == MULTIPLE_CHOICE and reordered(question) is not None
    return Answer(
        question.extras.answer or question.reference,
        tuple(0.0 for _ in question.options),
        reordered_choice=0 if is_put_again else None,
    )
