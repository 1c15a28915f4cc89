"""Does a model read the order and the instants of frames, or only the frames?

    flipbook bench temporal --out DIR              ->  clips, manifests, probe.json, two tables
    flipbook bench temporal --out DIR --model RUN  ->  besides, DIR/evaluation/RUN: the report of
                                                       every control, temporal.json, a third table

The clips are made first, or taken as they are there, and proven by readers without a model; a model
is then scored on them as `flipbook evaluate` does it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from flipbook.apps.asking import add_answer_arguments
from flipbook.apps.bench.naming import evaluation_folder, named_from, plain_name
from flipbook.data.generated.asking import FORMS, WORDS, tasks_asked
from flipbook.data.generated.suite import Suite
from flipbook.data.generated.suite_file import (
    DEFAULTS,
    is_whole,
    open_suite,
    settings_of_suite,
)
from flipbook.data.sources import Source
from flipbook.data.written import write_json_whole
from flipbook.errors import ArgumentError, DataError
from flipbook.evaluate.file_names import EVALUATION_FOLDER, SCORES_FILE
from flipbook.evaluate.loading import DTYPES, check_model
from flipbook.evaluate.progress import passing_bar
from flipbook.evaluate.rows import TUNED
from flipbook.evaluate.run import EvaluationSettings, evaluate_model
from flipbook.evaluate.temporal.probe import Probe, probe_tasks
from flipbook.evaluate.temporal.standings import standings_of
from flipbook.evaluate.temporal.tables import ceilings_table, probe_table, scores_table, summary
from flipbook.score.askable import read_askable
from flipbook.score.scores import MEAN

PROBE_FILE = "probe.json"
STANDINGS_FILE = "temporal.json"
LEAST_PROBE_CLIPS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook bench temporal`."""
    parser.add_argument("--out", required=True, help="Folder of the clips, made if need be.")
    parser.add_argument("--clips_per_task", type=int, help="Clips to test on. [24]")
    parser.add_argument(
        "--train_clips_per_task",
        type=int,
        help="Other clips to train on, and a tenth as many to validate. [0]",
    )
    parser.add_argument("--tasks", nargs="+", help="Some of the tasks. [all]")
    parser.add_argument(
        "--form",
        help=f"How questions are asked: {', '.join(FORMS)}. [{WORDS}]",
    )
    parser.add_argument("--seed", type=int, help="Same seed, same bytes. [0]")
    parser.add_argument(
        "--probe_clips",
        type=int,
        default=400,
        help="Clips of a task that the linear readers see; 0 leaves them out. [400]",
    )
    parser.add_argument("--model", help="A run folder, a model, or 'tiny', to score on the clips.")
    add_answer_arguments(parser, max_new_tokens=32)


def run(args: argparse.Namespace) -> None:
    """Make the suite, prove it, score a model where one is named, and print the tables.

    Raises:
        ArgumentError: a task or form is unknown, a number is out of range, or the folder holds a
            suite that was made with other settings.
        DataError: the linear readers find what the suite should not give away.
        CheckpointError: the model cannot be loaded.
        StorageError: the folder cannot be made.
    """
    _check(args)
    console = Console(highlight=False)
    folder = Path(args.out).expanduser()
    named = {name: getattr(args, name) for name in DEFAULTS if getattr(args, name) is not None}
    settings = settings_of_suite(folder, named)
    args = argparse.Namespace(**{**vars(args), **settings})
    if is_whole(folder, settings):
        console.print(f"The suite in {folder} is used as it is.", markup=False, soft_wrap=True)
    with passing_bar("writing clips") as on_progress:
        suite = open_suite(folder, settings, on_progress=on_progress)
    tasks = args.tasks
    console.print("What readers can score that know less than all, whatever they are")
    console.print(ceilings_table(standings_of(tasks_asked(tasks, args.form))))
    if args.probe_clips:
        _prove(tasks, args, folder, console)
    if args.model is not None:
        _score(suite, args, console)
    _print_places(suite, args, console)


def _check(args: argparse.Namespace) -> None:
    for name in ("batch_size", "max_new_tokens"):
        if getattr(args, name) < 1:
            raise ArgumentError(f"--{name} is {getattr(args, name)}: give 1 or more.")
    if args.probe_clips and args.probe_clips < LEAST_PROBE_CLIPS:
        raise ArgumentError(
            f"--probe_clips is {args.probe_clips}: give {LEAST_PROBE_CLIPS} or more, or 0 for none."
        )
    check_model(args.model)


def _prove(tasks: list[str], args: argparse.Namespace, folder: Path, console: Console) -> Probe:
    with passing_bar("probing") as on_progress:
        probe = probe_tasks(
            tasks, num_clips=args.probe_clips, seed=args.seed, on_progress=on_progress
        )
    write_json_whole(folder / PROBE_FILE, probe.as_dict())
    console.print(
        f"\nWhat linear readers of pixels score, half of {probe.num_clips} clips to learn from"
    )
    console.print(probe_table(probe))
    faults = probe.faults()
    if faults:
        raise DataError(
            f"{folder}: the clips are not what they should be ({'; '.join(faults)}). See "
            f"{folder / PROBE_FILE}; try more --probe_clips, and report it if it stays."
        )
    return probe


def _score(suite: Suite, args: argparse.Namespace, console: Console) -> None:
    found = read_askable([Source(str(suite.test))], max_bad_fraction=0.0)
    named = named_from(suite.folder, args.model)
    folder = evaluation_folder(suite.folder / EVALUATION_FOLDER, args.model, named)
    if folder.name != plain_name(args.model):
        told = f"{folder.with_name(plain_name(args.model))} is that of another model"
        console.print(f"\n{told}: this one is kept in {folder}.", markup=False, soft_wrap=True)
    evaluate_model(
        found.records,
        tuned=args.model,
        untuned=None,
        output_folder=folder,
        settings=EvaluationSettings(
            batch_size=args.batch_size,
            max_new_tokens=args.max_new_tokens,
            dtype=DTYPES[args.dtype],
        ),
        data_files=[suite.test],
        provenance={"suite": {"seed": args.seed, "form": args.form, "model": named}},
    )
    scores = json.loads((folder / SCORES_FILE).read_text(encoding="utf-8"))
    standings = standings_of((task for task in scores[TUNED] if task != MEAN), scores)
    write_json_whole(
        folder / STANDINGS_FILE, {"tasks": [standing.as_dict() for standing in standings]}
    )
    console.print(f"\nWhat {args.model} scores", markup=False)
    console.print(scores_table(standings))
    console.print(f"\n{summary(standings)}")
    console.print(f"report        {folder}", markup=False, soft_wrap=True)


def _print_places(suite: Suite, args: argparse.Namespace, console: Console) -> None:
    places = {"test": suite.test, "train": suite.train, "validation": suite.validation}
    if args.probe_clips:
        places["probe"] = suite.folder / PROBE_FILE
    for name, path in places.items():
        if path is not None:
            console.print(f"{name:<13} {path}", markup=False, soft_wrap=True)
