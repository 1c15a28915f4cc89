"""How long is each conversation of a manifest, and what does it share with others?

    rows of manifests  ->  Arrow batches: one line per conversation, or per record that is none

Every conversation is encoded once and its ids are thrown away; what stays is its length and a hash
of what it begins with. No clip is decoded. Large manifests are spread over worker processes.
"""

from __future__ import annotations

import json
import logging
import multiprocessing.context
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from xxhash import xxh3_128

from flipbook.data.augment import what_stays
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.labels.conversation import IGNORE_INDEX, EncodedConversation
from flipbook.data.labels.joining import shared_head
from flipbook.data.media import expected_frames, media_of
from flipbook.data.media_folders import MediaFolders
from flipbook.data.record_ids import RecordIds
from flipbook.data.records import NamedRow, named_rows, record_of
from flipbook.data.shown import expected_pictures
from flipbook.data.sources import Source
from flipbook.data.tables.written_turns import media_as_list, turns_as_json
from flipbook.data.turns import Media, Turn
from flipbook.errors import ArgumentError, MediaError, RecordError

NUM_ROWS_PER_CHUNK = 500
_NO_FILE = (-1, -1)
_COUNTS = ("num_videos", "num_images", "num_frames", "frame_size")

SCHEMA = pa.schema(
    {
        "record": pa.int64(),  # its number in all manifests together
        "manifest": pa.int32(),
        "record_id": pa.string(),
        "task": pa.string(),
        "turns": pa.binary(),  # JSON; see `turns_as_json`
        "media": pa.list_(pa.int64()),  # two halves of a hash of its videos and images, in order
        "head": pa.list_(pa.int64()),  # and of them with the ids up to the last frame
        "num_tokens": pa.int32(),
        "head_tokens": pa.int32(),
        "num_supervised": pa.int32(),
        "num_videos": pa.int32(),
        "num_images": pa.int32(),
        "num_frames": pa.int32(),
        "frame_size": pa.int32(),  # px; 0 where nothing is shown
        "num_mismatched": pa.int32(),
        "stays": pa.int32(),  # under `augment`; see `what_stays`
        "file_states": pa.list_(pa.int64()),  # size and time of files on whose content it depends
        "error_kind": pa.string(),  # of a record that cannot be used; else missing
        "error": pa.string(),
    }
)

_logger = logging.getLogger("flipbook")


class Conversation(NamedTuple):
    """One conversation as its manifest has it."""

    record_id: str
    turns: tuple[Turn, ...]
    task: str | None


@dataclass(frozen=True)
class Measurer:
    """Measures rows of some data sets; one value that goes to worker processes."""

    sources: tuple[Source, ...]
    encoder: ConversationEncoder

    def folders(self, manifest: int) -> MediaFolders:
        """Return where the media of a manifest may lie; they are not looked for."""
        source = self.sources[manifest]
        return MediaFolders(source.path, source.image_folder, looks_up=False)

    def probes(self, media: Sequence[Media]) -> bool:
        """Return whether a length depends on what is in some clips."""
        settings = self.encoder.settings
        return any(
            item.kind == "video"
            and not item.view.times_s
            and (settings.timestamps or (item.view.sampler or settings.sampler) == "fps")
            for item in media
        )


class NumberedRow(NamedTuple):
    """A row with its number in all manifests and the number of its manifest."""

    number: int
    manifest: int
    row: NamedRow


def numbered_rows(paths: Sequence[str], ids: Sequence[RecordIds]) -> Iterator[NumberedRow]:
    """Yield the rows of some manifests, one after the other.

    Args:
        ids: what `survey` found in each of them.
    """
    number = 0
    for manifest, path in enumerate(paths):
        for row in named_rows(Path(path), ids[manifest]):
            yield NumberedRow(number, manifest, row)
            number += 1


def measure(
    rows: Iterator[NumberedRow], measurer: Measurer, *, num_workers: int
) -> Iterator[pa.RecordBatch]:
    """Yield what is known of some rows, in their order, a few hundred at a time.

    Args:
        num_workers: processes that share the work; 0 does it here.
    """
    chunks = iter(lambda: list(islice(rows, NUM_ROWS_PER_CHUNK)), [])
    pending: deque[list[NumberedRow]] = deque()  # handed out, and not yet back
    try:
        if num_workers > 0:
            yield from _measure_in_pool(chunks, pending, measurer, num_workers=num_workers)
    except BrokenProcessPool:
        _logger.warning("a process that measured conversations was ended; going on in this one")
    yield from (measure_chunk(chunk, measurer) for chunk in chain(pending, chunks))


def _measure_in_pool(
    chunks: Iterator[list[NumberedRow]],
    pending: deque[list[NumberedRow]],
    measurer: Measurer,
    *,
    num_workers: int,
) -> Iterator[pa.RecordBatch]:
    futures: deque[Future[pa.RecordBatch]] = deque()
    with ProcessPoolExecutor(
        num_workers, worker_context(), initializer=_begin_worker, initargs=(measurer,)
    ) as pool:
        for chunk in chain(chunks, repeat(None)):
            if chunk is not None:
                pending.append(chunk)
                futures.append(pool.submit(_measure_in_worker, chunk))
            elif not futures:
                return
            if chunk is None or len(futures) > 2 * num_workers:
                batch = futures.popleft().result()
                pending.popleft()
                yield batch


def worker_context() -> multiprocessing.context.BaseContext:
    """Return how processes begin: as copies where that is safe, for it takes no time."""
    has_device = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    is_safe = sys.platform == "linux" and not has_device
    return multiprocessing.get_context("fork" if is_safe else "spawn")


def measure_chunk(rows: Sequence[NumberedRow], measurer: Measurer) -> pa.RecordBatch:
    """Return what is known of some rows, in their order."""
    lines: list[dict[str, Any]] = []
    folders: dict[int, MediaFolders] = {}
    for number, manifest, row in rows:
        if manifest not in folders:
            folders[manifest] = measurer.folders(manifest)
        for line in _lines_of(row, manifest, measurer, folders[manifest]):
            name = _writable(row.record_id)
            lines.append(line | {"record": number, "manifest": manifest, "record_id": name})
    return pa.RecordBatch.from_pylist(lines, schema=SCHEMA)


def file_states(media: Sequence[Media]) -> list[int]:
    """Return the states of the files of some media, one after the other."""
    paths = (path for item in media for path in item.frames or (item.path,))
    return [part for path in paths for part in file_state(path)]


def file_state(path: str) -> tuple[int, int]:
    """Return the size of a file in bytes and when it was changed, in ns; -1 where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return _NO_FILE
    return status.st_size, status.st_mtime_ns


def _lines_of(
    row: NamedRow, manifest: int, measurer: Measurer, folders: MediaFolders
) -> list[dict[str, Any]]:
    """Return a line for each conversation of a row, or a single one with its error."""
    shown: tuple[Media, ...] = ()
    try:
        record = record_of(row, folders=folders, view=measurer.sources[manifest].view)
        shown = record.media
        media_of_lines = [media_of(turns) for turns in record.conversations]
        measurer.sources[manifest].check_use(row.record_id, record.extras.split)
        lines = [
            _line_of(Conversation(row.record_id, turns, record.task), measurer, folders)
            | {"stays": what_stays(turns, record.extras)}
            for turns in record.conversations
        ]
    except (RecordError, MediaError, ArgumentError) as error:
        kind, text = RecordError.__name__, str(error)
        if isinstance(error, RecordError):
            kind, text = type(error).__name__, error.message
        media_of_lines = [shown]
        lines = [_empty_line() | {"error_kind": kind, "error": _writable(text)}]
        lines[0]["turns"] = turns_as_json([Turn("user", shown)])
        lines[0]["media"] = _halves(_hash_of_media(shown))
    for line, media in zip(lines, media_of_lines, strict=True):
        if measurer.probes(media):
            line["file_states"] = file_states(media)
    return lines


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _empty_line() -> dict[str, Any]:
    numbers = ("num_tokens", "head_tokens", "num_supervised", "num_mismatched", "stays", *_COUNTS)
    return {"head": [0, 0], "file_states": []} | dict.fromkeys(numbers, 0)


def _line_of(
    conversation: Conversation, measurer: Measurer, folders: MediaFolders
) -> dict[str, Any]:
    record_id, turns, task = conversation
    media = media_of(turns)
    if measurer.probes(media):
        for item in media:
            folders.check(item, record_id=record_id)  # no file outside the folders is opened
    encoder = measurer.encoder
    frames_per_media = expected_frames(media, encoder.settings)
    encoded = encoder.encode(turns, frames_per_media=frames_per_media, record_id=record_id)
    hash_of_media = _hash_of_media(media)
    head = shared_head(encoded, image_token_id=encoder.image_token_id)
    return _empty_line() | {
        "task": task,
        "turns": turns_as_json(turns),
        "media": _halves(hash_of_media),
        "head": _halves(hash_of_media, encoded.input_ids[:head].numpy().tobytes()),
        "num_tokens": len(encoded.input_ids),
        "head_tokens": head,
        "num_supervised": _num_supervised(encoded),
        "num_mismatched": encoded.num_mismatched_tokens,
        "num_videos": sum(item.kind == "video" for item in media),
        "num_images": sum(item.kind == "image" for item in media),
        "num_frames": expected_pictures(media, encoder.settings, frames_per_media=frames_per_media),
        "frame_size": max((i.view.over(encoder.settings).frame_size for i in media), default=0),
    }


def _num_supervised(encoded: EncodedConversation) -> int:
    return int((encoded.labels != IGNORE_INDEX).sum())


def _hash_of_media(media: Sequence[Media]) -> bytes:
    names = "\0".join(
        item.path if item == Media(item.kind, item.path) else json.dumps(media_as_list(item))
        for item in media
    )
    return xxh3_128(names.encode("utf-8", "surrogatepass")).digest()


def _halves(*parts: bytes) -> list[int]:
    """Return a 128-bit hash as two whole numbers with a sign."""
    digest = xxh3_128(b"".join(parts)).digest()
    return [int.from_bytes(digest[at : at + 8], "little", signed=True) for at in (0, 8)]


_worker: list[Measurer] = []


def _begin_worker(measurer: Measurer) -> None:
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _worker.append(measurer)


def _measure_in_worker(rows: Sequence[NumberedRow]) -> pa.RecordBatch:
    return measure_chunk(rows, _worker[0])
