"""What do these records look like to the model?

    flipbook data preview FILE --out page.html  ->  one page: frames, prompts, what is learned

Records are drawn with a seed and shown in the order of the file, those that cannot be used too. The
frames are the ones that training reads, the words are those that it encodes. No weights are loaded.
"""

from __future__ import annotations

import argparse
import os
import random
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.text import Text

from flipbook.apps.data.page.cards import Card, Looker
from flipbook.apps.data.page.write import page_of
from flipbook.apps.info import size_in_words
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.media_folders import MediaFolders
from flipbook.data.records import NamedRow, count_records, named_rows, survey
from flipbook.errors import ArgumentError, StorageError
from flipbook.model.words_of import load_words_of
from flipbook.video.settings import ClipSettings

NUM_RECORDS = 24
LARGE_BYTES = 15_000_000


@dataclass(frozen=True)
class Preview:
    """A page, and what is on it."""

    page: bytes
    num_shown: int
    num_records: int
    num_faulty: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words of `flipbook data preview`."""
    parser.add_argument("file", help="A JSON or JSONL file of records.")
    parser.add_argument("--out", required=True, help="The page to write, such as page.html.")
    parser.add_argument(
        "--model", default="tiny", help="Whose words and frames: a run, a model, or tiny. [tiny]"
    )
    parser.add_argument("--base", help="The model under an adapter, where it has moved.")
    parser.add_argument(
        "--num_records", type=int, default=NUM_RECORDS, help=f"How many. [{NUM_RECORDS}]"
    )
    parser.add_argument("--seed", type=int, default=0, help="Decides which ones. [0]")
    parser.add_argument("--image_folder", help="Where relative media paths begin.")
    parser.add_argument("--num_video_frames", type=int, help="[as saved with the model]")
    parser.add_argument("--frame_sampler", help="[as saved with the model]")
    parser.add_argument("--frame_size", type=int, help="Side in px. [as saved with the model]")
    parser.add_argument(
        "--model_max_length", type=int, help="Most tokens to read. [what the model can]"
    )


def run(args: argparse.Namespace) -> None:
    """Write a page and say what is on it.

    Raises:
        FlipbookError: see `preview`; or the page cannot be written.
    """
    out = Path(args.out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"--out {args.out} is no page; give a name that ends in .html")
    found = preview(
        args.file,
        model=args.model,
        base=args.base,
        image_folder=args.image_folder,
        num_records=args.num_records,
        seed=args.seed,
        max_length=args.model_max_length,
        num_frames=args.num_video_frames,
        sampler=args.frame_sampler,
        frame_size=args.frame_size,
    )
    _write(out, found.page)
    console = Console(highlight=False, markup=False)
    faulty = f", {found.num_faulty} of them cannot be used" if found.num_faulty else ""
    console.print(
        Text(
            f"{found.num_shown} of {found.num_records:,} records{faulty}, on one page of "
            f"{size_in_words(len(found.page))}: {out}"
        )
    )
    if len(found.page) > LARGE_BYTES:
        console.print(Text("The page is large; --num_records makes it smaller."))


def preview(
    path: str | os.PathLike[str],
    *,
    model: str | Path = "tiny",
    base: str | Path | None = None,
    image_folder: str | os.PathLike[str] | None = None,
    num_records: int = NUM_RECORDS,
    seed: int = 0,
    max_length: int | None = None,
    **settings: int | str | None,
) -> Preview:
    """Return a page that shows some records of a file as a model would see them.

    Args:
        path: a JSON or JSONL file of records.
        model: what `load_words_of` takes.
        num_records: how many are drawn; all of them where there are fewer.
        seed: decides which ones.
        max_length: the most tokens that may be read; what the model can if not given.
        settings: fields of `ClipSettings` in place of those saved with the model.

    Raises:
        ManifestError: the file cannot be read.
        ArgumentError: a number is out of its range, or `image_folder` is no folder.
        CheckpointError: the model cannot be read.
    """
    for name, number in (("num_records", num_records), ("model_max_length", max_length)):
        if number is not None and number < 1:
            raise ArgumentError(f"--{name} is {number}: give 1 or more.")
    words = load_words_of(model, base=base)
    own = {name: value for name, value in settings.items() if value is not None}
    clip_settings = replace(words.settings, **own)  # type: ignore[arg-type]
    limit = words.context_tokens if max_length is None else max_length
    looker = Looker(
        ConversationEncoder(words.tokenizer, clip_settings),
        limit=limit,
        folders=MediaFolders(path, image_folder),
    )
    num_in_file = count_records(path)
    rows = _drawn(Path(path), num_in_file, num_records=num_records, seed=seed)
    errors = Console(stderr=True)
    bar = track(rows, "looking", console=errors, transient=True, disable=not errors.is_terminal)
    cards = [looker.card(row, number=number) for number, row in bar]
    page = page_of(
        Path(path).name,
        lead=_lead(cards, num_in_file, seed=seed),
        facts=_facts(clip_settings, model=str(model), limit=limit),
        cards=cards,
    )
    num_faulty = sum(bool(card.faults) for card in cards)
    return Preview(page, len(cards), num_in_file, num_faulty)


def _drawn(
    path: Path, num_in_file: int, *, num_records: int, seed: int
) -> list[tuple[int, NamedRow]]:
    """Return some rows with their numbers from 1, in the order of the file."""
    number = min(num_records, num_in_file)
    chosen = set(random.Random(seed).sample(range(num_in_file), number))
    rows = enumerate(named_rows(path, survey(path)))
    return [(place + 1, row) for place, row in rows if place in chosen]


def _lead(cards: list[Card], num_in_file: int, *, seed: int) -> str:
    if len(cards) == num_in_file:
        lead = f"All {num_in_file:,} records" if num_in_file > 1 else "One record"
    else:
        lead = f"{len(cards)} of {num_in_file:,} records, drawn with seed {seed}"
    num_faulty = sum(bool(card.faults) for card in cards)
    return f"{lead}; {num_faulty} cannot be used" if num_faulty else lead


def _facts(settings: ClipSettings, *, model: str, limit: int) -> dict[str, str]:
    count = f"{settings.num_frames} ({settings.sampler})"
    if settings.sampler == "fps":
        count = (
            f"{settings.frames_per_s:g} a second, {settings.min_frames}\u2013{settings.max_frames}"
        )
    drawn = "; training draws other instants each time" if settings.sampler == "segments" else ""
    return {
        "model": model,
        "frames of a clip": f"{count}{drawn}",
        "frame": f"{settings.frame_size} \u00d7 {settings.frame_size} px, {settings.aspect}, "
        f"{settings.tokens_per_frame} tokens",
        "layout": settings.layout,
        "limit": f"{limit:,} tokens",
    }


def _write(out: Path, page: bytes) -> None:
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        unfinished.write_bytes(page)
        os.replace(unfinished, out)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise StorageError(
            f"--out {out}: cannot be written ({error.strerror}); name another place"
        ) from error
