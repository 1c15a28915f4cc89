"""What is looked at while a model learns?

validation data, arguments  ->  Examination, or a refusal of what the run would not measure
trainer                     ->  the same one, examined, followed, and stopped in time
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rich.console import Console

from flipbook.data.dataset import LazySupervisedDataset
from flipbook.model.provenance import Provenance
from flipbook.train.arguments import Arguments
from flipbook.train.examining.answers import Examination, make_examination
from flipbook.train.examining.followed import FOLLOWED_FILE, FollowedAnswers
from flipbook.train.examining.stopping import NEVER, StoppingCallback, check_metric
from flipbook.train.trainer import FlipbookTrainer


def examination_of(
    arguments: Arguments, dataset: LazySupervisedDataset | None
) -> Examination | None:
    """Return what is asked at each evaluation of a run; None where nothing is.

    Raises:
        ArgumentError: the best checkpoint is to be chosen by what this run does not measure.
        DataError: the validation records cannot be read, or too many do not tell what is right.
    """
    args = arguments.training
    if dataset is None or args.eval_strategy == "no":
        return None
    examination = make_examination(dataset, args, max_bad_fraction=arguments.data.max_bad_fraction)
    check_metric(args, () if examination is None else examination.names)
    return examination


def watch(
    trainer: FlipbookTrainer, examination: Examination | None, *, run_folder: Path
) -> StoppingCallback | None:
    """Let a trainer be examined; return what watches its best evaluation, where one is chosen."""
    args = trainer.arguments
    trainer.examination = examination
    if examination is not None and args.follow_num_answers > 0:
        trainer.followed = FollowedAnswers(
            run_folder / FOLLOWED_FILE,
            examination.part(args.follow_num_answers),
            answer=trainer.examine,
            throughput=trainer.progress.throughput,
        )
        trainer.add_callback(trainer.followed)
    if args.metric_for_best_model is None or args.eval_strategy == "no":
        return None
    patience = args.early_stopping_patience or NEVER
    stopping = StoppingCallback(patience, args.early_stopping_threshold)
    trainer.add_callback(stopping)
    return stopping


def tell_stop(
    stopping: StoppingCallback | None,
    trainer: FlipbookTrainer,
    provenance: Provenance | None,
    *,
    console: Console,
) -> Provenance | None:
    """Return the provenance with the fact that a run stopped early, where it did, and tell it."""
    told = None if stopping is None else stopping.told(trainer.state, trainer.arguments)
    if stopping is None or told is None:
        return provenance
    console.print(told, markup=False)
    if provenance is None:
        return None
    return dataclasses.replace(provenance, recipe=provenance.recipe | stopping.facts(trainer.state))
