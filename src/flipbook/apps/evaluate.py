"""How good is this model on these records, and does it look at the frames and their order?

    flipbook evaluate --model RUN --data_path FILE   ->  report.html, report.md, scores.json,
                                                         predictions.jsonl, a table

A run knows the model it started from, so the rows before tuning are there by themselves; for any
other model `--base` names it. Several processes that `torchrun` starts share the work.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from flipbook.apps.asking import add_answer_arguments, add_question_arguments
from flipbook.data.converting.needed import as_records
from flipbook.data.sources import Source, sources_of
from flipbook.data.workers.watched import watched_command
from flipbook.data.written import check_folder
from flipbook.errors import ArgumentError
from flipbook.evaluate.asked import read_asked
from flipbook.evaluate.file_names import (
    EVALUATION_FOLDER,
    PAGE_FILE,
    PREDICTIONS_FILE,
    SCORES_FILE,
    TEXT_FILE,
)
from flipbook.evaluate.loading import DTYPES, check_model
from flipbook.evaluate.report import print_report
from flipbook.evaluate.run import EvaluationSettings, evaluate_model
from flipbook.model.folders import find_folder, is_adapter
from flipbook.score.opinions.ask import check_opinions
from flipbook.score.processes import from_first, joined_processes, this_process
from flipbook.train.features import folder_beside

NO_BASE = "none"
NO_STORE = "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook evaluate`."""
    add_question_arguments(parser)
    parser.add_argument(
        "--base",
        help="The model before tuning, and so the one under an adapter; a run's own start if none, "
        "'none' for no such row.",
    )
    parser.add_argument("--out", help="Folder of the report; MODEL/evaluation if none.")
    add_answer_arguments(parser)
    parser.add_argument("--max_questions", type=int, help="Questions in each row; all if none.")
    parser.add_argument(
        "--feature_store",
        help="Folder where features of the vision tower are looked for and kept, or 'none'; that "
        "of the run if none is named.",
    )
    parser.add_argument(
        "--judge_model",
        help="A text model, folder or hub id, that says whether an open answer means the same.",
    )
    parser.add_argument(
        "--similarity_model",
        help="A sentence-transformers model by which open answers are compared.",
    )
    parser.add_argument(
        "--num_cost_questions",
        type=int,
        default=8,
        help="Questions on which times and memory are measured; 0 for none.",
    )


@watched_command()
def run(args: argparse.Namespace) -> None:
    """Write the report and print the table.

    Raises:
        ArgumentError: a number is out of range, or there is no folder to write to.
        DataError: too many records are unusable, or none has a question.
        CheckpointError: a model cannot be loaded.
        StorageError: the folder cannot be made or written to.
    """
    for name in ("batch_size", "max_new_tokens", "max_questions"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ArgumentError(f"--{name} is {value}: give 1 or more.")
    if args.num_cost_questions < 0:
        raise ArgumentError(f"--num_cost_questions is {args.num_cost_questions}: give 0 or more.")
    folder = report_folder(args.model, args.out)
    with joined_processes():
        _evaluate(args, folder, Console(highlight=False, quiet=this_process() != 0))


def _evaluate(args: argparse.Namespace, folder: Path, console: Console) -> None:
    def find() -> tuple[Source, ...]:
        return tuple(
            as_records(
                sources_of(args.data_path, image_folder=args.image_folder),
                folder=folder / "records",
                max_bad_fraction=args.max_bad_fraction,
                tell=print,
            )
        )

    settings = _settings(args)
    _check_beforehand(args, settings, folder)
    sources = from_first(find)
    asked = read_asked(
        sources,
        model=args.model,
        base=settings.adapter_base,
        max_questions=args.max_questions,
        max_bad_fraction=args.max_bad_fraction,
        show_progress=settings.show_progress,
    )
    for error in asked.left_out:
        console.print(f"left out: {error}", markup=False, soft_wrap=True)
    report = evaluate_model(
        asked.clips,
        tuned=args.model,
        untuned=base_of(args.model, args.base),
        output_folder=folder,
        run_folder=run_of(args.model),
        still_image_records=asked.stills,
        settings=settings,
        data_files=[source.path for source in sources],
        provenance={"left_out": [str(error) for error in asked.left_out]},
    )
    print_report(report, console=console)
    print_files(folder, console=console)


def _check_beforehand(args: argparse.Namespace, settings: EvaluationSettings, folder: Path) -> None:
    """Check all but the records: the folder of the report, and every model that will be needed.

    Raises:
        StorageError: the folder cannot be made or written to.
        CheckpointError: a model cannot be read.
        ArgumentError: the base or the model of sentences cannot be meant.
    """
    from_first(lambda: check_folder(folder))
    check_model(args.model, base=settings.adapter_base)
    check_model(base_of(args.model, args.base))
    check_opinions(judge_model=args.judge_model, similarity_model=args.similarity_model)


def _settings(args: argparse.Namespace) -> EvaluationSettings:
    return EvaluationSettings(
        batch_size=args.batch_size,
        max_new_tokens=args.max_new_tokens,
        max_questions=args.max_questions,
        dtype=DTYPES[args.dtype],
        adapter_base=adapter_base_of(args.model, args.base),
        feature_store=store_of(args.model, args.feature_store),
        judge_model=args.judge_model,
        similarity_model=args.similarity_model,
        num_cost_questions=args.num_cost_questions,
        show_progress=this_process() == 0,
    )


def print_files(folder: Path, *, console: Console) -> None:
    """Tell where a report lies."""
    files = {
        "the report": PAGE_FILE,
        "for a terminal": TEXT_FILE,
        "scores": SCORES_FILE,
        "every answer": PREDICTIONS_FILE,
    }
    console.print()
    for name, file in files.items():
        console.print(f"{name:<15} {folder / file}", markup=False, soft_wrap=True)


def run_of(model: str) -> Path | None:
    """Return the folder of a run, where a model is named by it."""
    folder = Path(model).expanduser()
    return folder if (folder / "config.yaml").is_file() else None


def store_of(model: str, named: str | None) -> Path | None:
    """Return where features are kept: the folder that is named, or that of the run.

    Raises:
        ArgumentError: the run's configuration cannot be read, or a file is in the folder's place.
    """
    if named is not None:
        return None if named == NO_STORE else _named_store(Path(named).expanduser())
    config = _config_of(model)
    if config.get("frame_features") != "store":
        return None
    of_run = config.get("feature_store")
    return Path(of_run).expanduser() if of_run else folder_beside(Path(model).expanduser())


def _named_store(folder: Path) -> Path:
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise ArgumentError(
            f"--feature_store {folder}: {nearest} is a file, and features are kept in a folder. "
            f"Name one, or give {NO_STORE}."
        )
    return folder


def base_of(model: str, base: str | None) -> str | None:
    """Return the model before tuning: the one named, or the one with which a run was started.

    Raises:
        ArgumentError: the run's configuration cannot be read.
    """
    if base is not None:
        return None if base == NO_BASE else base
    start = _config_of(model).get("model_name_or_path")
    return start if isinstance(start, str) else None


def _config_of(model: str) -> dict[str, Any]:
    """Return the configuration of a run; empty for a model that is none."""
    run_folder = run_of(model)
    if run_folder is None:
        return {}
    path = run_folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ArgumentError(
            f"{path}: cannot be read ({error}). Name the model before tuning with --base, "
            f"or give --base {NO_BASE}; and --feature_store {NO_STORE}."
        ) from error
    return config if isinstance(config, dict) else {}


def adapter_base_of(model: str, base: str | None) -> str | None:
    """Return the model under an adapter where it is named; an adapter alone needs none named.

    Raises:
        CheckpointError: there is no such model.
    """
    if base is None or base == NO_BASE:
        return None
    return base if is_adapter(find_folder(model)) else None


def report_folder(model: str, out: str | None) -> Path:
    """Return where the report goes.

    Raises:
        ArgumentError: the model is no folder, so it must be said.
    """
    if out is not None:
        return Path(out).expanduser()
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise ArgumentError(
            f"--model {model} is no folder to write the report into: name one with --out."
        )
    return folder / EVALUATION_FOLDER
