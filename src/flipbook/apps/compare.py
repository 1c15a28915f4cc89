"""Which of two models is better on the questions that both answered?

    flipbook compare A B  ->  a table by task and measure, and a sentence

A and B are runs, folders of evaluations or files of predictions.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flipbook.data.written import write_json_whole
from flipbook.errors import ArgumentError, StorageError, did_you_mean
from flipbook.evaluate.compare import Compared, Comparison, compare
from flipbook.evaluate.file_names import EVALUATION_FOLDER, PREDICTIONS_FILE
from flipbook.evaluate.predictions_file import read_predictions
from flipbook.evaluate.rows import ROWS, TUNED
from flipbook.score.prediction import Prediction

HEADINGS = ("A", "B", "B - A", "95 % interval", "p", "questions")
HOLM = "p of tasks is corrected for their number (Holm); other p are not."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook compare`."""
    parser.add_argument("a", help="A run, a folder of an evaluation, or its predictions.jsonl.")
    parser.add_argument("b", help="Another one.")
    parser.add_argument(
        "--row", default=TUNED, help=f"Which row of both, one of {', '.join(ROWS)}. [{TUNED}]"
    )
    parser.add_argument("--out", help="A JSON file for all numbers.")


def run(args: argparse.Namespace) -> None:
    """Print the comparison, and write it where asked.

    Raises:
        ArgumentError: there are no predictions, or no such row.
        StorageError: `--out` cannot be written.
        DataError: the two share too few questions, or one of them is not the same in both.
    """
    if args.row not in ROWS:
        raise ArgumentError(
            f"--row is {args.row!r}; known are {', '.join(ROWS)}.{did_you_mean(args.row, ROWS)}"
        )
    files = [find_predictions(name) for name in (args.a, args.b)]
    first, second = (_row_of(path, args.row) for path in files)
    comparison = compare(first, second)
    print_comparison(comparison, files, row=args.row, console=Console(highlight=False))
    if args.out is not None:
        content = {"a": str(files[0]), "b": str(files[1]), "row": args.row}
        path = Path(args.out).expanduser()
        try:
            write_json_whole(path, content | comparison.as_dict())
        except OSError as error:
            raise StorageError(
                f"--out {path}: cannot be written ({error.strerror}). Name a file in a folder that "
                "is there."
            ) from error
        print(f"\nnumbers  {path}")


def find_predictions(name: str) -> Path:
    """Return the file of predictions of a run, those of its training first, or of a folder.

    Raises:
        ArgumentError: there is none.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    inside = [path / PREDICTIONS_FILE, path / EVALUATION_FOLDER / PREDICTIONS_FILE]
    found = next((file for file in inside if file.is_file()), None)
    if found is None:
        raise ArgumentError(
            f"{name} holds no {PREDICTIONS_FILE}. Give a run that was scored, the folder that "
            f"`flipbook evaluate` wrote, or its {PREDICTIONS_FILE}."
        )
    return found


def print_comparison(
    comparison: Comparison, files: Sequence[Path], *, row: str, console: Console
) -> None:
    """Print what is compared, the table, and which is better."""
    for letter, path, more in zip(
        "AB", files, (comparison.num_only_first, comparison.num_only_second), strict=True
    ):
        console.print(Text(f"{letter}  {path}"), soft_wrap=True)
        if more:
            console.print(f"   {more} of its questions are not in the other, and are left out")
    console.print(
        f"\nRow {row}: {comparison.num_questions} questions about {comparison.num_videos} videos\n"
    )
    lines = [("mean over tasks", comparison.mean), *comparison.tasks.items()]
    console.print(comparison_table("task", lines))
    for kind, measures in comparison.kinds.items():
        console.print()
        console.print(comparison_table(f"measures, {kind}", measures.items()))
    console.print(f"\n{HOLM}\n\n{comparison.sentence}")


def comparison_table(heading: str, lines: Iterable[tuple[str, Compared]]) -> Table:
    """Return a table with one line for each number."""
    table = Table(box=None, pad_edge=False)
    table.add_column(heading, overflow="fold")
    for name in HEADINGS:
        table.add_column(name, justify="right")
    for name, compared in lines:
        table.add_row(Text(name), *_cells(compared))
    return table


def _cells(compared: Compared) -> list[str]:
    apart = compared.difference
    ends = [f"{end:+.3f}" for end in (apart.low, apart.high) if not math.isnan(end)]
    p_value = apart.p_value if compared.p_holm is None else compared.p_holm
    return [
        f"{compared.first:.3f}",
        f"{compared.second:.3f}",
        f"{apart.value:+.3f}",
        " ".join(ends),
        f"{p_value:.3f}" if p_value >= 0.001 else "<0.001",
        str(apart.num_questions),
    ]


def _row_of(path: Path, row: str) -> list[Prediction]:
    predictions = read_predictions(path)
    if row not in predictions:
        raise ArgumentError(
            f"{path} has no row {row!r}; it has {', '.join(predictions)}. Choose one with --row."
        )
    return predictions[row]
