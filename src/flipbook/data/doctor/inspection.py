"""What is wrong with some data sets, and what is unusual about them?

    rows, media, ConversationEncoder -> Inspection: Ledger with all findings, Examined, notes

The steps build upon each other: what a clip gives when it is read tells how many tokens a record
needs, and only what is sound so far can leak.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.progress import Progress

from flipbook.data.doctor.examine import Examined
from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.journal import Journal
from flipbook.data.doctor.leakage import Contents, find_leaks
from flipbook.data.doctor.ledger import Entry, Ledger, RowReader, read_ledger
from flipbook.data.doctor.lengths import find_lengths
from flipbook.data.doctor.pool import Work
from flipbook.data.doctor.reading import read_media
from flipbook.data.doctor.repeats import find_same_content
from flipbook.data.encoder import ConversationEncoder
from flipbook.video.settings import ClipSettings

Note = tuple[Finding, Entry | None]


@dataclass(frozen=True)
class Inspection:
    """All that was found.

    Attributes:
        ledger: all rows, each with its findings.
        examined: what was found in media, by their numbers.
        num_known: how many of these an earlier pass had read.
        notes: what is unusual about files, and about records (with their entry).
    """

    ledger: Ledger
    examined: Mapping[int, Examined]
    num_known: int
    notes: tuple[Note, ...]


def inspect(
    reader: RowReader,
    journal: Journal,
    progress: Progress,
    *,
    settings: ClipSettings,
    encoder: ConversationEncoder | None,
    work: Work,
    num_workers: int,
    file_timeout_s: float,
) -> Inspection:
    """Return what is wrong and what is unusual.

    Args:
        encoder: counts tokens and proves labels; none leaves that out.
        work: reads one video or image.

    Raises:
        ManifestError: a manifest cannot be read.
        StorageError: the journal cannot be written.
        WorkerError: no processes can be kept.
    """
    task = progress.add_task("reading records", total=None)
    ledger = read_ledger(reader, progress.track(reader.rows(), task_id=task), settings)
    progress.update(task, total=len(ledger.entries))
    examined, num_known = read_media(
        ledger, journal, work, progress, num_workers=num_workers, timeout_s=file_timeout_s
    )
    _add_media_faults(ledger, examined)
    if encoder is not None:
        _count_tokens(reader, ledger, examined, encoder, progress, num_workers=num_workers)
    for entry, leak in list(find_leaks(ledger.entries, _contents_of(ledger, examined))):
        entry.findings.append(leak)
    return Inspection(ledger, examined, num_known, tuple(_all_notes(ledger, examined)))


def _add_media_faults(ledger: Ledger, examined: Mapping[int, Examined]) -> None:
    for entry in ledger.entries:
        for number in entry.media:
            fault = examined[number].fault if number in examined else None
            if fault is not None:
                entry.findings.append(fault)


def _count_tokens(
    reader: RowReader,
    ledger: Ledger,
    examined: Mapping[int, Examined],
    encoder: ConversationEncoder,
    progress: Progress,
    *,
    num_workers: int,
) -> None:
    """Add what is found when records are encoded."""
    frames_of = {
        item: examined[number].num_frames
        for item, number in ledger.media.items()
        if number in examined and examined[number].fault is None
    }
    task = progress.add_task("counting tokens", total=len(ledger.entries))
    for number, findings in find_lengths(
        reader, ledger, frames_of=frames_of, encoder=encoder, num_workers=num_workers
    ):
        ledger.entries[number].findings += findings
        progress.update(task, completed=number + 1)


def _contents_of(ledger: Ledger, examined: Mapping[int, Examined]) -> Contents:
    """Return a function: entry -> hash and path of each video and image that it shows."""
    items = list(ledger.media)

    def contents(entry: Entry) -> list[tuple[str, str]]:
        shown = [(examined[number].content, items[number].path) for number in entry.media]
        return [(content, path) for content, path in shown if content is not None]

    return contents


def _all_notes(ledger: Ledger, examined: Mapping[int, Examined]) -> list[Note]:
    """Return what is unusual about files and about records, each once."""
    of_media = dict.fromkeys(note for found in examined.values() for note in found.notes)
    contents = (
        (found.content, item.path)
        for item, number in ledger.media.items()
        if (found := examined.get(number)) is not None and found.content is not None
    )
    notes: list[Note] = [(note, None) for note in (*of_media, *find_same_content(contents))]
    notes += [
        (finding, entry)
        for entry in ledger.entries
        for finding in dict.fromkeys(entry.findings)
        if not finding.rejects
    ]
    return notes
