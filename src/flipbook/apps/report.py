"""How does a run, or an evaluation, become a page to show?

    flipbook report RUN            ->  report.html and report.md, made anew from the files there
    flipbook report RUN/evaluation     the same, with the training of RUN

Nothing is answered or scored again, and no model is loaded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from flipbook.errors import ArgumentError, StorageError
from flipbook.evaluate.file_names import EVALUATION_FOLDER, LOG_FILE, SCORES_FILE
from flipbook.evaluate.report import write_pages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook report`."""
    parser.add_argument("folder", help="A run that was scored, or a folder of an evaluation.")
    parser.add_argument(
        "--run", help="The run behind an evaluation, where it is not the folder around it."
    )


def run(args: argparse.Namespace) -> None:
    """Write the page and the text, and say where they are.

    Raises:
        ArgumentError: there is no such folder, or it holds no scores.
        DataError: a file of it is damaged.
        StorageError: it cannot be written to.
    """
    folder, run_folder = report_folders(args.folder, run=args.run)
    try:
        page, text = write_pages(folder, run_folder=run_folder)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written to ({error.strerror}). Copy it to a place of your own."
        ) from error
    print(f"page  {page}\ntext  {text}")


def report_folders(named: str, *, run: str | None = None) -> tuple[Path, Path]:
    """Return the folder of the scores, and the run folder behind it.

    A run without scores of its own may have been evaluated into its folder `evaluation`; the other
    way round, the folder around an `evaluation` that has a log is its run.

    Raises:
        ArgumentError: one of the folders does not exist.
    """
    folder = _existing(named, "")
    inner = folder / EVALUATION_FOLDER
    if not (folder / SCORES_FILE).is_file() and (inner / SCORES_FILE).is_file():
        folder = inner
    if run is not None:
        return folder, _existing(run, "--run ")
    outer = folder.resolve().parent
    is_inner = folder.resolve().name == EVALUATION_FOLDER and (outer / LOG_FILE).is_file()
    return folder, outer if is_inner else folder


def _existing(named: str, flag: str) -> Path:
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise ArgumentError(f"{flag}{named}: there is no such folder. Name a run or an evaluation.")
    return folder
