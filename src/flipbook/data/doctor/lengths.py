"""Which records are longer than the model may read, or cannot be learned as they are meant?

    records, frames of what they show, ConversationEncoder -> budget and label findings

Nothing is decoded: how many frames a clip gives was found out when it was read. Where there are
many records, processes share them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import NamedTuple

import torch

from flipbook.data.budget import tokens_of_places
from flipbook.data.doctor.findings import Finding, finding_of
from flipbook.data.doctor.ledger import Ledger, RowReader
from flipbook.data.doctor.pool import process_context
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.media import media_of
from flipbook.data.records import Record
from flipbook.data.shown import expected_frames, num_places_of, tokens_per_frame
from flipbook.data.turns import Media
from flipbook.errors import RecordError
from flipbook.video.settings import ClipSettings

RECORDS_PER_JOB = 200
MOST_VISUAL_TOKENS = 10_000_000  # above that, they are not even written down to be counted
MIN_PARALLEL_RECORDS = 2_000  # from here on processes save more time than they take to begin


class Countable(NamedTuple):
    """A record, its number in the ledger, and how many frames each of its media gives."""

    number: int
    record: Record
    frames_of: dict[Media, int]


def find_lengths(
    reader: RowReader,
    ledger: Ledger,
    *,
    frames_of: dict[Media, int],
    encoder: ConversationEncoder,
    num_workers: int,
) -> Iterator[tuple[int, list[Finding]]]:
    """Yield the number of each record that can be counted, with what is found in it.

    Args:
        frames_of: how many frames media give that could be read.
        encoder: of the model, with its limit.
    """
    records = _countable(reader, ledger, frames_of, encoder.settings)
    jobs = iter(lambda: list(islice(records, RECORDS_PER_JOB)), [])
    if num_workers < 2 or len(ledger.entries) < MIN_PARALLEL_RECORDS:
        for job in jobs:
            yield from count_records(job, encoder)
        return
    with ProcessPoolExecutor(
        num_workers, process_context(), initializer=_begin_worker, initargs=(encoder,)
    ) as pool:
        futures: deque[Future[list[tuple[int, list[Finding]]]]] = deque()
        for job in jobs:
            futures.append(pool.submit(_count_in_worker, job))
            if len(futures) > 2 * num_workers:
                yield from futures.popleft().result()
        for future in futures:
            yield from future.result()


def count_records(
    records: list[Countable], encoder: ConversationEncoder
) -> list[tuple[int, list[Finding]]]:
    """Return the numbers of some records with what is found when they are encoded."""
    return [(one.number, _findings(one, encoder)) for one in records]


def _findings(one: Countable, encoder: ConversationEncoder) -> list[Finding]:
    most = 0
    for turns in one.record.conversations:
        media = media_of(turns)
        frames_per_media = tuple(one.frames_of[item] for item in media)
        tokens = map(tokens_of_places, frames_per_media, tokens_per_frame(media, encoder.settings))
        num_visual = sum(map(sum, tokens))
        if num_visual > MOST_VISUAL_TOKENS:
            return [Finding("budget", _beyond_all(num_visual))]
        try:
            encoded = encoder.encode(
                turns, frames_per_media=frames_per_media, record_id=one.record.id
            )
        except RecordError as error:
            return [finding_of(error, otherwise="structure")]
        most = max(most, encoded.num_mismatched_tokens)
    if not most:
        return []
    reason = f"differs in {most} tokens when its whole text is encoded at once"
    return [Finding("token_difference", reason)]


def _beyond_all(num_visual: int) -> str:
    return (
        f"its frames alone are {num_visual:,} tokens, which no model reads; ask for fewer frames "
        "or smaller ones"
    )


def _countable(
    reader: RowReader, ledger: Ledger, frames_of: dict[Media, int], settings: ClipSettings
) -> Iterator[Countable]:
    """Yield the records whose numbers of frames are known."""
    for number, (manifest, _, row) in enumerate(reader.rows()):
        if any(finding.code == "settings" for finding in ledger.entries[number].findings):
            continue
        try:
            record = reader.record(manifest, row)
        except RecordError:
            continue  # it has been told of
        known = {item: _num_frames(item, frames_of, settings) for item in record.media}
        sure = {item: count for item, count in known.items() if count is not None}
        if len(sure) == len(known):
            yield Countable(number, record, sure)


def _num_frames(item: Media, frames_of: dict[Media, int], settings: ClipSettings) -> int | None:
    """Return how many frames a video or image gives; None where only reading it would tell."""
    if item in frames_of:
        return num_places_of(item, frames_of[item], settings)
    goes_by_length = item.view.over(settings).sampler == "fps" and not item.view.times_s
    if item.kind == "video" and goes_by_length:
        return None
    return expected_frames((item,), settings)[0]


_worker: list[ConversationEncoder] = []


def _begin_worker(encoder: ConversationEncoder) -> None:
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _worker.append(encoder)


def _count_in_worker(records: list[Countable]) -> list[tuple[int, list[Finding]]]:
    return count_records(records, _worker[0])
