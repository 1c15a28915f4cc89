"""`flipbook train`: from records to a tuned model, and to what can be claimed of it.

[config.yaml] flags -> run folder, scores.json, predictions.jsonl, a table
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from flipbook.data.manifests import read_usable
from flipbook.data.sources import Source
from flipbook.data.watched import watched_command
from flipbook.evaluate.file_names import PAGE_FILE, TEXT_FILE
from flipbook.evaluate.report import print_report
from flipbook.evaluate.run import EvaluationSettings, evaluate_model, split_still_images
from flipbook.train.arguments import Arguments
from flipbook.train.data_summary import DATA_FILE
from flipbook.train.features import store_folder, store_max_bytes
from flipbook.train.followed import FOLLOWED_FILE
from flipbook.train.parsing import make_parser, parse_arguments
from flipbook.train.run import RunResult, train


def run(words: Sequence[str]) -> None:
    """Train, and score the result on the validation data where there is any.

    Raises:
        FlipbookError: see `flipbook.train.run.train`.
    """
    if {"-h", "--help"} & set(words):
        make_parser().print_help()
        return
    arguments = parse_arguments(words)
    console = Console(highlight=False, soft_wrap=True)
    result = train(arguments, console=console)
    if not result.is_main_process:
        return
    if result.claimed and arguments.training.report_num_questions > 0:
        claim(arguments, result, result.claimed, console=console)
    print_places(result, console=console)


@watched_command()
def claim(
    arguments: Arguments, result: RunResult, sources: Sequence[Source], *, console: Console
) -> None:
    """Score the start model, the tuned model and its controls, and print the table."""
    found = read_usable(
        sources,
        image_folder=arguments.data.image_folder,
        max_bad_fraction=arguments.data.max_bad_fraction,
    )
    clips, stills = split_still_images(found.records)
    stores = arguments.data.frame_features == "store"
    report = evaluate_model(
        clips,
        tuned=str(result.model_folder),
        untuned=arguments.model.model_name_or_path,
        output_folder=result.run_folder,
        still_image_records=stills,
        settings=EvaluationSettings(
            batch_size=arguments.training.per_device_eval_batch_size,
            max_new_tokens=arguments.training.max_new_tokens,
            max_questions=arguments.training.report_num_questions,
            feature_store=store_folder(arguments) if stores else None,
            feature_store_max_bytes=store_max_bytes(arguments),
            show_progress=console.is_terminal,
        ),
        data_files=[source.path for source in sources],
        provenance={
            "seed": arguments.training.seed,
            "left_out": [str(error) for error in found.rejected],
        },
    )
    print_report(report, console=console)


def print_places(result: RunResult, *, console: Console) -> None:
    """Tell where everything is, and what to try next."""
    places = {
        "the report": result.run_folder / PAGE_FILE,
        "the same for a terminal": result.run_folder / TEXT_FILE,
        "the tuned model": result.model_folder,
        "scores": result.run_folder / "scores.json",
        "every answer": result.run_folder / "predictions.jsonl",
        "a few answers, as it learned": result.run_folder / FOLLOWED_FILE,
        "what it was trained on": result.run_folder / DATA_FILE,
        "log": result.run_folder / "log.jsonl",
        "curves (tensorboard --logdir)": result.run_folder / "tensorboard",
        "configuration": result.run_folder / "config.yaml",
    }
    console.print("\nWhere everything is:")
    for name, path in places.items():
        if Path(path).exists():
            console.print(f"  {name:<30} {path}", markup=False)
