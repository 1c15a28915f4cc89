"""`flipbook train`: from records to a tuned model, and to what can be claimed of it.

[config.yaml] flags -> run folder, scores.json, predictions.jsonl, a table
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from flipbook.data.sources import Source
from flipbook.data.workers.watched import watched_command
from flipbook.errors import AskedToStop, FlipbookError, StoppedError, reason_of
from flipbook.evaluate.asked import read_asked
from flipbook.evaluate.file_names import PAGE_FILE, TEXT_FILE
from flipbook.evaluate.report import print_report
from flipbook.evaluate.run import EvaluationSettings, evaluate_model
from flipbook.train.arguments import Arguments
from flipbook.train.data_summary import DATA_FILE
from flipbook.train.examining.followed import FOLLOWED_FILE
from flipbook.train.features import store_folder, store_max_bytes
from flipbook.train.parsing import make_parser, parse_arguments
from flipbook.train.run import RunResult, train
from flipbook.train.run_folder import refuse_moved
from flipbook.train.signals import ended_early


def run(words: Sequence[str]) -> None:
    """Train, and score the result on the validation data where there is any.

    Raises:
        FlipbookError: see `flipbook.train.run.train`.
        ArgumentError: a configuration file goes on elsewhere than where its checkpoints are.
        StoppedError: a signal asked for it, and something is kept.
    """
    if {"-h", "--help"} & set(words):
        make_parser().print_help()
        return
    arguments = parse_arguments(words)
    is_named = any(word.split("=")[0] == "--output_dir" for word in words)
    if not words[0].startswith("-") and not is_named:
        args = arguments.training
        refuse_moved(Path(words[0]), Path(str(args.output_dir)), args.resume_from_checkpoint)
    console = LastingConsole(highlight=False, soft_wrap=True)

    def score(result: RunResult) -> None:
        if result.claimed and arguments.training.report_num_questions > 0:
            claim(arguments, result, result.claimed, console=console)

    result = learn(arguments, console=console, then=score)
    if result.is_main_process:
        print_places(result, console=console)


class LastingConsole(Console):
    """A console without which a run goes on where nobody reads what it prints any more."""

    def on_broken_pipe(self) -> None:
        """Print nothing from here on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def learn(
    arguments: Arguments, *, console: Console, then: Callable[[RunResult], None]
) -> RunResult:
    """Return what a run leaves; tell of one that is stopped before its first step.

    A wish to stop that comes when all is done changes nothing.

    Args:
        then: scores it, in the main process, while no other run may write into its folder.

    Raises:
        FlipbookError: see `flipbook.train.run.train`.
        StoppedError: a signal asked for it, and there is a checkpoint to go on from.
        AskedToStop: it did, and there is none.
    """
    done: list[RunResult] = []

    def score(result: RunResult) -> None:
        if result.is_main_process:
            then(result)
        done.append(result)

    try:
        return train(arguments, console=console, then=score)
    except KeyboardInterrupt as stop:
        if done:
            return done[0]
        if isinstance(stop, AskedToStop) and stop.told:
            raise
        told = f"Stopped by {reason_of(stop)} before the first step"
        raise ended_early(stop, Path(str(arguments.training.output_dir)), told) from None


def claim(
    arguments: Arguments, result: RunResult, sources: Sequence[Source], *, console: Console
) -> None:
    """Score the start model, the tuned model and its controls, and print the table.

    Raises:
        StoppedError: a signal asked for it; the model is there all the same.
    """
    kept = _how_to_score(result, sources)
    if result.asked_to_stop is not None:
        raise StoppedError(f"Stopped by {result.asked_to_stop} after the last step. {kept}")
    try:
        with result.stop.at_once():
            _claim(arguments, result, sources, console=console)
    except KeyboardInterrupt as stop:
        raise StoppedError(f"Stopped by {reason_of(stop)} while it was scored. {kept}") from None
    except (FlipbookError, OSError, RuntimeError, MemoryError) as error:
        error.add_note(kept)
        raise


def _how_to_score(result: RunResult, sources: Sequence[Source]) -> str:
    """Return in words that a model is tuned and saved, and how it is scored later."""
    words = ["flipbook", "evaluate", "--model", str(result.run_folder), "--data_path"]
    words += [source.path for source in sources]
    folders = {source.image_folder for source in sources} - {None}
    words += ["--image_folder", *map(str, folders)] if len(folders) == 1 else []
    return (
        f"The model is tuned and saved in {result.model_folder}; its scores are missing. To score "
        f"it:\n  {shlex.join(words)}"
    )


@watched_command()
def _claim(
    arguments: Arguments, result: RunResult, sources: Sequence[Source], *, console: Console
) -> None:
    asked = read_asked(
        sources,
        model=result.model_folder,
        max_questions=arguments.training.report_num_questions,
        max_bad_fraction=arguments.data.max_bad_fraction,
        show_progress=console.is_terminal,
    )
    stores = arguments.data.frame_features == "store"
    report = evaluate_model(
        asked.clips,
        tuned=str(result.model_folder),
        untuned=arguments.model.model_name_or_path,
        output_folder=result.run_folder,
        still_image_records=asked.stills,
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
            "left_out": [str(error) for error in asked.left_out],
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
