"""What does the model read of this record, what does it learn of it, and is that right?

    flipbook explain --data_path FILE                  ->  every token of the first record, proofs
    flipbook explain --data_path FILE --record ID      ->  of this one
    flipbook explain --data_path FILE --json           ->  the same facts for another program

The record is encoded and its clips are read as in training; of the model no weights are loaded.
What is learned is green on a terminal, and `learned` in a column everywhere.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flipbook.data.encoder import ConversationEncoder
from flipbook.data.proofs.explanation import Budget, Explanation, Frame, Token, explain
from flipbook.data.proofs.prove import Proof, refuse_failed
from flipbook.data.proofs.token_roles import readable
from flipbook.data.records import Record, read_records
from flipbook.errors import DataError, did_you_mean
from flipbook.model.words_of import load_words_of

HOLDS, FAILS, LEARNED, VISUAL = "holds", "FAILS", "learned", "visual"
_STYLES = {HOLDS: "green", FAILS: "bold red", LEARNED: "green", VISUAL: "cyan"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook explain`."""
    parser.add_argument("--data_path", required=True, help="A file of records.")
    parser.add_argument("--record", help="Id of a record; the first one if none.")
    parser.add_argument("--model", default="tiny", help="A run folder, a model, or 'tiny'.")
    parser.add_argument("--base", help="The model under an adapter, where it has moved.")
    parser.add_argument("--image_folder", help="Where media are; the records' own folder if none.")
    parser.add_argument("--num_video_frames", type=int, help="Frames of a clip; the model's own.")
    parser.add_argument("--frame_size", type=int, help="Side of a frame in px; the model's own.")
    parser.add_argument(
        "--all_tokens", action="store_true", help="Give each token of a frame a line of its own."
    )
    parser.add_argument("--json", action="store_true", help="Print JSON instead of tables.")


def run(args: argparse.Namespace) -> None:
    """Print every token of a record, and whether what is learned of it is right.

    Raises:
        LabelError: a proof fails; everything was printed before.
        BudgetError: the record is longer than the model may read; everything was printed before.
        DataError: there is no such record, or it cannot be used.
        CheckpointError: the words of the model cannot be loaded.
    """
    record = find_record(args.data_path, image_folder=args.image_folder, record_id=args.record)
    words = load_words_of(args.model, base=args.base)
    changes = {"num_frames": args.num_video_frames, "frame_size": args.frame_size}
    given = {name: value for name, value in changes.items() if value is not None}
    settings = replace(words.settings, **given)
    encoder = ConversationEncoder(words.tokenizer, settings, words.context_tokens)
    found = [explain(turns, encoder, record_id=record.id) for turns in record.conversations]
    if args.json:
        content = {"record": record.id, "model": args.model, "conversations": as_json(found)}
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False, markup=False)
        for block in explanation_blocks(record.id, found, all_tokens=args.all_tokens):
            console.print(block)
    for turns, one in zip(record.conversations, found, strict=True):
        refuse_failed(one.proofs, record_id=record.id)
        encoder.encode(turns, frames_per_media=one.frames_per_media, record_id=record.id)


def find_record(data_path: str, *, image_folder: str | None, record_id: str | None) -> Record:
    """Return a record of a file by its id, or the first one that can be used.

    Raises:
        DataError: there is none of this id.
        RecordError: it cannot be used, or none can be.
        ManifestError: the file cannot be read.
    """
    found = read_records(data_path, image_folder=image_folder)
    for record in found.records:
        if record_id in (None, record.id):
            return record
    for error in found.rejected:
        if record_id in (None, error.record_id):
            raise error
    known = [*(one.id for one in found.records), *(error.record_id for error in found.rejected)]
    raise DataError(
        f"{data_path}: holds no record {record_id!r}.{did_you_mean(str(record_id), known)} Give "
        f"--record one of its {len(known):,} ids, or leave it out for the first record."
    )


def as_json(found: Sequence[Explanation]) -> list[dict[str, Any]]:
    """Return all facts; bytes that are no whole character are escaped in a token's text."""
    return [
        {
            "tokens": [
                {
                    "position": token.position,
                    "id": token.id,
                    "text": token.word.decode(errors="backslashreplace"),
                    "role": token.role,
                    "kind": _kind(token),
                    "learned": token.is_learned,
                    "frame": token.frame,
                }
                for token in one.tokens
            ],
            "frames": [asdict(frame) for frame in one.frames],
            "budget": asdict(one.budget) | {"total": one.budget.total},
            "proofs": [asdict(proof) for proof in one.proofs],
        }
        for one in found
    ]


def explanation_blocks(
    record_id: str, found: Sequence[Explanation], *, all_tokens: bool
) -> Iterator[Table | Text | str]:
    """Yield what is printed of each conversation: its tokens, its proofs, its budget."""
    for number, one in enumerate(found, start=1):
        counted = f", conversation {number} of {len(found)}" if len(found) > 1 else ""
        yield f"record {_printable(record_id)}{counted}\n"
        yield _tokens_table(one, all_tokens=all_tokens)
        yield ""
        yield _proofs_table(one.proofs)
        yield f"\n{budget_line(one.budget)}\n"


def budget_line(budget: Budget) -> str:
    """Return what the tokens are spent on, as a sum."""
    visual = f"{budget.num_frames} frames"
    if budget.num_frames:
        visual += f" x {' or '.join(map(str, budget.tokens_per_frame))}"
    if len(budget.tokens_per_frame) > 1:
        visual += f" ({budget.num_visual:,})"
    line = (
        f"{visual} + {budget.num_text:,} of text + {budget.num_answer:,} of answers = "
        f"{budget.total:,} tokens"
    )
    if budget.limit is None:
        return line
    over = budget.total - budget.limit
    return f"{line} of {budget.limit:,}" + (f": {over:,} TOO MANY" if over > 0 else "")


def _tokens_table(one: Explanation, *, all_tokens: bool) -> Table:
    table = Table(box=None)
    for heading, justify in (("token", "right"), ("id", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for heading in ("role", "kind", "loss"):
        table.add_column(heading, no_wrap=True)
    table.add_column("text", overflow="fold")
    for tokens in _runs(one.tokens, all_tokens=all_tokens):
        first, last = tokens[0], tokens[-1]
        kind, loss = _kind(first), LEARNED if first.is_learned else ""
        places = f"{first.position}" if first is last else f"{first.position}-{last.position}"
        number = f"{first.id}" if first is last else f"{len(tokens)} x {first.id}"
        shown = _frame_name(one.frames, first.frame) if kind == VISUAL else readable(first.word)
        cells = (places, number, first.role, kind, loss, shown)
        table.add_row(*map(Text, cells), style=_STYLES.get(loss or kind, ""))
    return table


def _runs(tokens: Sequence[Token], *, all_tokens: bool) -> Iterator[list[Token]]:
    """Yield tokens one by one, but those of a frame together where they are alike."""
    if all_tokens:
        yield from ([token] for token in tokens)
        return
    for _, alike in groupby(tokens, key=_what_a_line_tells):
        yield list(alike)


def _what_a_line_tells(token: Token) -> tuple[object, ...]:
    place = None if token.is_visual else token.position
    return place, token.frame, token.is_visual, token.role, token.is_learned


def _kind(token: Token) -> str:
    return VISUAL if token.is_visual else "text"


def _frame_name(frames: Sequence[Frame], number: int | None) -> str:
    """Return which frame it is; the first one of a file has its name too."""
    if number is None:
        return "no frame"
    frame = frames[number]
    is_first = number == 0 or frames[number - 1].medium != frame.medium
    when = "" if frame.time_s is None else f" at {frame.time_s:.2f} s"
    name = f" of {_printable(Path(frame.path).name)}" if is_first else ""
    return f"frame {number + 1}{when}{name}"


def _proofs_table(proofs: Sequence[Proof]) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for proof in proofs:
        verdict = HOLDS if proof.holds else FAILS
        shown = Text(f"{proof.name}\n").append(proof.detail, style="dim")
        table.add_row(Text(verdict, style=_STYLES[verdict]), shown)
    return table


def _printable(text: str) -> str:
    """Return a name as it is, but quoted where it would move the cursor or cannot be written."""
    return text if text.isprintable() else repr(text)
