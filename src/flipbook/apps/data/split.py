"""How is one file of records divided into training, validation and test?

    flipbook data split records.jsonl --out DIR  ->  DIR/train.jsonl, validation.jsonl, test.jsonl

Records that share a clip or a group stay together; a table tells what went where.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flipbook.data.extras import SPLITS
from flipbook.data.manifests import list_reasons
from flipbook.data.splitting.reading import BY, STRATIFY
from flipbook.data.splitting.split import FRACTIONS, SEED, SplitResult, split_manifest

MOST_STRATA_SHOWN = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook data split`."""
    parser.add_argument("file", help="A JSON or JSONL file of records.")
    parser.add_argument("--out", required=True, help="The folder of the three new files.")
    parser.add_argument(
        "--fractions",
        type=float,
        nargs=len(SPLITS),
        default=FRACTIONS,
        metavar=tuple(name.upper() for name in SPLITS),
        help="Share of the records for each split; they add up to 1, and 0 leaves one out. "
        "[0.8 0.1 0.1]",
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"Decides who goes where. [{SEED}]")
    parser.add_argument(
        "--by",
        default="group",
        help=f"What stays together, {' or '.join(BY)}: records of one group or clip, or of one "
        "clip alone. [group]",
    )
    parser.add_argument(
        "--names_only",
        action="store_true",
        help="Tell clips by their names alone, and read none to find copies of it.",
    )
    parser.add_argument(
        "--stratify",
        default="auto",
        help=f"What every split gets its share of, one of {', '.join(STRATIFY)}: auto is the "
        "answer where all records are of kind classification, and else the task. [auto]",
    )
    parser.add_argument("--image_folder", help="Where relative media paths begin.")
    parser.add_argument(
        "--override", action="store_true", help="Divide records that have a split anew, too."
    )
    parser.add_argument(
        "--max_bad_fraction",
        type=float,
        default=0.0,
        help="The share of records that may be left out because they cannot be used. [0]",
    )


def run(args: argparse.Namespace) -> None:
    """Divide a file and print what went where.

    Raises:
        FlipbookError: see `split_manifest`.
    """
    with Console(stderr=True).status("dividing records"):
        result = split_manifest(
            args.file,
            out=args.out,
            image_folder=args.image_folder,
            fractions=args.fractions,
            seed=args.seed,
            by=args.by,
            by_content=not args.names_only,
            stratify=args.stratify,
            override=args.override,
            max_bad_fraction=args.max_bad_fraction,
        )
    console = Console(highlight=False, markup=False)
    for block in split_blocks(result):
        console.print(block)


def split_blocks(result: SplitResult) -> Iterable[Table | Text | str]:
    """Yield what is printed: the table, what is worth knowing, where the files are."""
    yield _counts_table(result)
    for note in result.notes:
        yield Text(f"Note: {note}")
    if result.rejected:
        yield Text(
            f"Records that cannot be used and are in no split: {len(result.rejected)}"
            f"{list_reasons(result.rejected)}"
        )
    yield Text("Written: " + ", ".join(str(path) for path in result.paths.values()))
    if result.image_folder is not None:
        yield Text(
            f"The media lie elsewhere: read these files with --image_folder {result.image_folder}"
        )


def _counts_table(result: SplitResult) -> Table:
    table = Table(box=None)
    table.add_column("")
    for split in result.counts:
        table.add_column(split, justify="right")
    table.add_column("all", justify="right")
    counts = list(result.counts.values())
    _add_row(table, "groups", [count.groups for count in counts])
    records = [count.records for count in counts]
    _add_row(table, "records", records)
    table.add_row("share", *(f"{number / sum(records):.1%}" for number in records), "")
    if result.stratified_by == "none":
        return table
    table.add_section()
    totals = {label: sum(count.strata[label] for count in counts) for label in counts[0].strata}
    shown = sorted(totals, key=lambda label: -totals[label])[:MOST_STRATA_SHOWN]
    for label in shown:
        _add_row(table, f"{result.stratified_by} {label}", [c.strata[label] for c in counts])
    if len(totals) > len(shown):
        table.add_row(f"and {len(totals) - len(shown)} more", *[""] * (len(counts) + 1))
    return table


def _add_row(table: Table, name: str, numbers: list[int]) -> None:
    table.add_row(Text(name), *(f"{number:,}" for number in numbers), f"{sum(numbers):,}")
