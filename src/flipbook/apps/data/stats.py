"""What is in these files of records?

    flipbook data stats FILE...         ->  tables: counts, lengths, frequent answers, clips
    flipbook data stats FILE... --json  ->  the same numbers for another program

Clips are opened, not decoded; `--no_media` leaves them alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from flipbook.apps.info import size_in_words, two_columns
from flipbook.data.manifests import list_reasons
from flipbook.data.statistics.clip_facts import MediaStatistics, read_facts_of, summarise
from flipbook.data.statistics.counted import Spread
from flipbook.data.statistics.summary import Statistics, read_statistics
from flipbook.data.tables.opening import num_cores

NUM_SHOWN = 8
NUM_EXAMPLES = 3
BAR_CELLS = 28
MOST_LETTERS = 60

Block = Table | Text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook data stats`."""
    parser.add_argument("files", nargs="+", help="JSON or JSONL files of records.")
    parser.add_argument("--image_folder", help="Where relative media paths begin.")
    parser.add_argument("--no_media", action="store_true", help="Do not open the clips.")
    parser.add_argument(
        "--num_workers", type=int, help="Processes that open clips. [as many as there are cores]"
    )
    parser.add_argument("--json", action="store_true", help="Print JSON instead of tables.")


def run(args: argparse.Namespace) -> None:
    """Print what is in some files.

    Raises:
        ManifestError, ArgumentError, DataError: see `read_statistics` and `read_facts_of`.
    """
    errors = Console(stderr=True)
    with errors.status("reading records"):
        found = read_statistics(args.files, image_folder=args.image_folder)
    media = None
    if found.media and not args.no_media:
        num_workers = num_cores() if args.num_workers is None else args.num_workers
        facts = read_facts_of(found.media, num_workers=num_workers)
        media = summarise(
            track(
                facts,
                "opening clips",
                total=len(found.media),
                console=errors,
                transient=True,
                disable=not errors.is_terminal,
            )
        )
    if args.json:
        print(json.dumps(as_json(found, media), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False)
    for block in stats_blocks(found, media):
        console.print(block)


def as_json(found: Statistics, media: MediaStatistics | None) -> dict[str, Any]:
    """Return all numbers, as JSON has them."""
    values = {name: value for name, value in vars(found).items() if name != "media"}
    values |= {
        "rejected": [str(error) for error in found.rejected],
        "question_words": _plain(found.question_words),
        "answer_words": _plain(found.answer_words),
        "frequent_questions": [one._asdict() for one in found.frequent_questions],
        "answers": {
            task: asdict(answers) | {"frequent": [one._asdict() for one in answers.frequent]}
            for task, answers in found.answers.items()
        },
        "given_away": [one._asdict() for one in found.given_away],
        "num_media": len(found.media),
    }
    if media is None:
        return values | {"media": None}
    spreads = {name: _plain(getattr(media, name)) for name in ("durations_s", "frames")}
    failed = [{"path": path, "reason": reason} for path, reason in media.failed]
    return values | {"media": vars(media) | spreads | {"failed": failed}}


def _plain(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    return asdict(spread) | {"bins": [one._asdict() for one in spread.bins]}


def stats_blocks(found: Statistics, media: MediaStatistics | None) -> Iterable[Block]:
    """Yield what is printed, from the broadest number to the finest."""
    yield _facts_table(found)
    if found.rejected:
        yield Text(f"Rows that are no records: {len(found.rejected)}{list_reasons(found.rejected)}")
    if found.num_records:
        yield from _spread_block("Words of a question", found.question_words)
        yield from _spread_block("Words of an answer", found.answer_words)
        yield _heading("Answers by task, and what always giving the most frequent one would score")
        yield _answers_table(found)
        yield from _given_away(found)
        yield from _questions(found)
    if media is not None:
        yield _heading("Clips and pictures")
        yield _media_table(media)
        yield from _spread_block("Seconds of a clip", media.durations_s)
        if media.failed:
            lines = [f"\n  - {path}: {reason}" for path, reason in media.failed[:NUM_SHOWN]]
            yield Text(f"Cannot be read: {len(media.failed)}{''.join(lines)}")


def _facts_table(found: Statistics) -> Table:
    groups = f"{found.num_groups:,}"
    if found.num_without_group:
        groups += f"; {found.num_without_group:,} records name none"
    return two_columns(
        {
            "records": f"{found.num_records:,}",
            "conversations": f"{found.num_conversations:,}",
            "repeated": f"{found.num_repeated:,} records show and say what an earlier one does",
            "clips, pictures": f"{len(found.media):,} different",
            "shown": _listed(found.shown),
            "groups": groups,
            "tasks": _listed(found.tasks),
            "kinds": _listed(found.kinds),
            "splits": _listed(found.splits),
            "questions each": _listed({str(number): n for number, n in found.turns.items()}),
        }
    )


def _answers_table(found: Statistics) -> Table:
    table = Table(box=None)
    table.add_column("task", overflow="fold")
    for heading in ("answers", "different", "always"):
        table.add_column(heading, justify="right")
    table.add_column("most frequent", overflow="fold")
    for task, answers in found.answers.items():
        shares = [f"{_short(one.text)} {one.times / answers.total:.2f}" for one in answers.frequent]
        table.add_row(
            Text(task),
            f"{answers.total:,}",
            f"{answers.num_different:,}",
            f"{answers.majority:.2f}",
            Text(", ".join(shares) or "no answer comes twice"),
        )
    return table


def _given_away(found: Statistics) -> Iterable[Block]:
    share = len(found.given_away) / found.num_asked if found.num_asked else 0.0
    lines = [
        f"\n  - {one.record_id}: {_short(one.question)} -> {_short(one.answer)}"
        for one in found.given_away[:NUM_EXAMPLES]
    ]
    yield Text(
        f"\nQuestions in which their answer stands: {len(found.given_away):,} of "
        f"{found.num_asked:,} with short answers ({share:.1%}){''.join(lines)}"
    )


def _questions(found: Statistics) -> Iterable[Block]:
    lines = [f"\n  - {one.times:,} times {_short(one.text)}" for one in found.frequent_questions]
    yield Text(
        f"\nDifferent questions: {found.num_different_questions:,} of {found.num_questions:,}"
        f"{''.join(lines)}"
    )


def _media_table(media: MediaStatistics) -> Table:
    rows = {
        "videos": f"{media.num_videos:,}, {media.total_s / 3600:,.2f} hours",
        "images": f"{media.num_images:,}",
        "on disk": size_in_words(media.num_bytes),
        "codecs": _listed(media.codecs),
        "px": _listed(media.sizes),
        "frames a second": _listed(media.rates),
        "variable rate": f"{media.num_variable_rate:,}",
        "rotated": f"{media.num_rotated:,}",
    }
    return two_columns(rows)


def _spread_block(title: str, spread: Spread | None) -> Iterable[Block]:
    """Yield a histogram as bars of text."""
    if spread is None:
        return
    yield _heading(
        f"{title}: {spread.least:,.4g} to {spread.most:,.4g}, half are up to {spread.median:,.4g}"
    )
    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_column(justify="right")
    fullest = max(one.number for one in spread.bins)
    for one in spread.bins:
        bar = "\u2588" * round(one.number / fullest * BAR_CELLS) or ("\u258f" if one.number else "")
        table.add_row(f"{one.start:g} to <{one.end:g}", bar, f"{one.number:,}")
    yield table


def _heading(title: str) -> Text:
    return Text(f"\n{title}", style="bold")


def _listed(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:NUM_SHOWN]]
    rest = len(counts) - len(shown)
    return ", ".join(shown + ([f"and {rest} more"] if rest else []))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= MOST_LETTERS else f"{line[: MOST_LETTERS - 3]}...")
