"""How good is this model on these records, and does it look at the frames and their order?

    flipbook evaluate --model RUN --data_path FILE   ->  scores.json, predictions.jsonl, a table

A run knows the model it started from, so the rows before tuning are there by themselves; for any
other model `--base` names it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml
from rich.console import Console

from flipbook.data.converting.needed import as_records
from flipbook.data.manifests import read_usable
from flipbook.data.sources import sources_of
from flipbook.errors import ArgumentError
from flipbook.evaluate.loading import DTYPES
from flipbook.evaluate.report import PREDICTIONS_FILE, SCORES_FILE, print_report
from flipbook.evaluate.run import EvaluationSettings, evaluate_model, split_still_images
from flipbook.model.folders import find_folder, is_adapter

NO_BASE = "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook evaluate`."""
    parser.add_argument("--model", required=True, help="A run folder, a model, or 'tiny'.")
    parser.add_argument(
        "--data_path",
        required=True,
        nargs="+",
        help="Files of records, tables, folders by class, or a YAML mixture.",
    )
    parser.add_argument("--image_folder", help="Where media are; the records' own folder if none.")
    parser.add_argument(
        "--base",
        help="The model before tuning, and so the one under an adapter; a run's own start if none, "
        "'none' for no such row.",
    )
    parser.add_argument("--out", help="Folder of the report; MODEL/evaluation if none.")
    parser.add_argument("--batch_size", type=int, default=16, help="Prompts answered together.")
    parser.add_argument("--max_new_tokens", type=int, default=64, help="Longest answer in tokens.")
    parser.add_argument("--max_questions", type=int, help="Questions in each row; all if none.")
    parser.add_argument(
        "--max_bad_fraction",
        type=float,
        default=0.0,
        help="Share of records that may be unusable before the evaluation is refused.",
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="Precision of the weights."
    )


def run(args: argparse.Namespace) -> None:
    """Write the report and print the table.

    Raises:
        ArgumentError: a number is out of range, or there is no folder to write to.
        DataError: too many records are unusable, or none has a question.
    """
    for name in ("batch_size", "max_new_tokens", "max_questions"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ArgumentError(f"--{name} is {value}: give 1 or more.")
    folder = report_folder(args.model, args.out)
    sources = tuple(
        as_records(
            sources_of(args.data_path, image_folder=args.image_folder),
            folder=folder / "records",
            max_bad_fraction=args.max_bad_fraction,
            tell=print,
        )
    )
    found = read_usable(sources, image_folder=None, max_bad_fraction=args.max_bad_fraction)
    for error in found.rejected:
        print(f"left out: {error}")
    clips, stills = split_still_images(found.records)
    scores = evaluate_model(
        clips,
        tuned=args.model,
        untuned=base_of(args.model, args.base),
        output_folder=folder,
        still_image_records=stills,
        settings=EvaluationSettings(
            batch_size=args.batch_size,
            max_new_tokens=args.max_new_tokens,
            max_questions=args.max_questions,
            dtype=DTYPES[args.dtype],
            adapter_base=adapter_base_of(args.model, args.base),
        ),
        data_files=[source.path for source in sources],
        provenance={"left_out": [str(error) for error in found.rejected]},
    )
    print_report(scores, console=Console(highlight=False))
    print(f"\nscores        {folder / SCORES_FILE}\nevery answer  {folder / PREDICTIONS_FILE}")


def base_of(model: str, base: str | None) -> str | None:
    """Return the model before tuning: the one named, or the one with which a run was started.

    Raises:
        ArgumentError: the run's configuration cannot be read.
    """
    if base is not None:
        return None if base == NO_BASE else base
    config_path = Path(model).expanduser() / "config.yaml"
    if not config_path.is_file():
        return None
    try:
        config = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ArgumentError(
            f"{config_path}: cannot be read ({error}). Name the model before tuning with --base, "
            f"or give --base {NO_BASE}."
        ) from error
    start = config.get("model_name_or_path") if isinstance(config, dict) else None
    return start if isinstance(start, str) else None


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
    return folder / "evaluation"
