"""Was this measured before, and if not, what is found now?

    data_path, ConversationEncoder  ->  ConversationTable

What was found out about manifests is kept for the next time, under a word that is another one
whenever the manifests, the encoder or the code might give something else. Whether the media are
still there is asked each time anew, so a clip that was deleted since is missed before the first
step.
"""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import rmtree

import datasets
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from xxhash import xxh3_128

from flipbook.data.encoder import ConversationEncoder
from flipbook.data.records import survey
from flipbook.data.rows import content_hash
from flipbook.data.sources import Source, sources_of
from flipbook.data.tables.file import default_folder, find_or_write
from flipbook.data.tables.measuring import SCHEMA, Measurer, measure, numbered_rows
from flipbook.data.tables.presence import find_media
from flipbook.data.tables.table import ConversationTable
from flipbook.errors import ManifestError

MIN_PARALLEL_ROWS = 4_000  # from here on processes save more time than they take to begin


def open_table(
    data_path: str | Source | Sequence[str | Source],
    *,
    image_folder: str | None,
    encoder: ConversationEncoder,
    num_workers: int | None = None,
    cache_folder: Path | None = None,
) -> ConversationTable:
    """Return the conversations of one manifest or several, measured now or earlier.

    Args:
        data_path: a JSON or JSONL file of records, or several; or `Source`s.
        image_folder: of paths; see `read_records`.
        encoder: what conversations are encoded with.
        num_workers: processes that share the measuring of many conversations; as many as there are
            cores if not given, and 0 is none.
        cache_folder: where what was found out is kept; see `default_folder`.

    Raises:
        ManifestError: a manifest cannot be read.
        ArgumentError: `image_folder` is no folder.
        DataError: there is no room for the table, or media change while it is made.
    """
    sources = sources_of(data_path, image_folder=image_folder)
    paths = tuple(source.path for source in sources)
    measurer = Measurer(sources, encoder)
    hashes = [content_hash(Path(path)) for path in paths]

    def measure_all() -> Iterator[pa.RecordBatch]:
        yield from _measure_all(measurer, num_workers)
        for path, known in zip(paths, hashes, strict=True):
            if content_hash(Path(path)) != known:
                raise ManifestError(f"{path}: has changed while it was read; start again")

    def open_current(rows: datasets.Dataset) -> ConversationTable | None:
        presence = find_media(rows, measurer)
        return ConversationTable(rows, presence, sources) if presence.is_current else None

    table, temporary = find_or_write(
        cache_folder or default_folder(),
        _key(measurer, hashes),
        schema=SCHEMA,
        measure=measure_all,
        open_current=open_current,
    )
    if temporary is not None:
        weakref.finalize(table, _remove, temporary, os.getpid())
    return table


def _key(measurer: Measurer, hashes: Sequence[str]) -> str:
    """Return a word that is another one whenever what is measured might be."""
    parts = {
        "sources": [
            [
                os.path.abspath(source.path),
                None if source.image_folder is None else os.path.abspath(source.image_folder),
                source.view.as_dict(),
                source.use,
            ]
            for source in measurer.sources
        ],
        "content": list(hashes),
        "encoder": measurer.encoder.fingerprint(),
        "columns": str(SCHEMA),
    }
    return xxh3_128(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _measure_all(measurer: Measurer, num_workers: int | None) -> Iterator[pa.RecordBatch]:
    """Yield what is known of all rows, with a bar on the terminal where there are many."""
    paths = [source.path for source in measurer.sources]
    ids = [survey(Path(path)) for path in paths]
    num_rows = sum(found.num_rows for found in ids)
    is_large = num_rows >= MIN_PARALLEL_ROWS
    if num_workers is None:
        num_workers = num_cores() if is_large else 0
    columns = (
        TextColumn("measuring records"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    is_shown = is_large and console.is_terminal
    with Progress(*columns, console=console, disable=not is_shown, transient=True) as bar:
        task = bar.add_task("", total=num_rows)
        rows = numbered_rows(paths, ids)
        for batch in measure(rows, measurer, num_workers=num_workers):
            yield batch
            last = batch.column("record")[-1].as_py()
            bar.update(task, completed=last + 1)


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a copy of the process must not take the folder away
        rmtree(folder, ignore_errors=True)
