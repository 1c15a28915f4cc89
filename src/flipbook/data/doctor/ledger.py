"""What do some manifests hold, row by row, before any file of theirs is opened?

    Manifests -> Ledger: one Entry for each row, and each different video or image once

An entry keeps what the later steps ask for and not its words: those are read again when they are
needed, so that a million rows fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from flipbook.data.doctor.findings import Finding, finding_of
from flipbook.data.doctor.repeats import Repeats
from flipbook.data.extras import SPLITS
from flipbook.data.media_folders import MediaFolders
from flipbook.data.records import NamedRow, Record, named_rows, record_of, survey
from flipbook.data.sources import Source
from flipbook.data.turns import Media
from flipbook.errors import ArgumentError, MediaError, RecordError, one_line
from flipbook.video.settings import ClipSettings

OWN_SPLIT = "own"  # of a manifest whose records say of which split they are
UNNAMED_SPLIT = "train"  # of records that do not
Unjudged = Callable[[Record], RecordError | None]


class Manifest(NamedTuple):
    """A data set, and the split that it is used as: one of `SPLITS`, or `OWN_SPLIT`."""

    source: Source
    split: str

    @property
    def path(self) -> Path:
        """Of its file."""
        return Path(self.source.path)


@dataclass(slots=True)
class Entry:
    """What is known of one row.

    Attributes:
        manifest: the number of its manifest.
        row: its number in the manifest, from 1.
        record_id: its name, which no other row of its manifest has.
        is_named: whether the row itself says that name.
        split: one of `SPLITS`.
        group: what must not be divided between splits.
        media: numbers of what it shows.
        findings: faults and notes.
    """

    manifest: int
    row: int
    record_id: str
    is_named: bool = True
    split: str = UNNAMED_SPLIT
    group: str | None = None
    media: tuple[int, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether it goes into the clean manifest, as far as is known."""
        return not any(finding.rejects for finding in self.findings)


@dataclass(frozen=True)
class Ledger:
    """All rows of some manifests, in order, and what they show.

    Attributes:
        manifests: that were read.
        entries: the rows.
        media: each different video or image with its view, and its number.
        refused: numbers of media that may not be opened.
    """

    manifests: tuple[Manifest, ...]
    entries: list[Entry]
    media: dict[Media, int]
    refused: set[int]


class NumberedRow(NamedTuple):
    """A row with the number of its manifest, and its own in that, from 1."""

    manifest: int
    place: int
    row: NamedRow


class RowReader:
    """Reads the rows of manifests, as often as is asked for.

    Args:
        unjudged: tells why evaluation could not judge answers to a record, or None where it can.

    Raises:
        ArgumentError: an image folder is no folder.
    """

    def __init__(self, manifests: Sequence[Manifest], unjudged: Unjudged | None = None) -> None:
        self.manifests = tuple(manifests)
        self.unjudged = unjudged
        self.folders = [
            MediaFolders(source.path, source.image_folder, looks_up=False)
            for source, _ in manifests
        ]

    def rows(self) -> Iterator[NumberedRow]:
        """Yield all rows, manifest by manifest.

        Raises:
            ManifestError: a manifest cannot be read.
        """
        for number, manifest in enumerate(self.manifests):
            rows = named_rows(manifest.path, survey(manifest.path))
            for place, row in enumerate(rows, start=1):
                yield NumberedRow(number, place, row)

    def record(self, manifest: int, row: NamedRow) -> Record:
        """Return the record that a row is; its files are not looked for.

        Raises:
            RecordError: it is none.
        """
        view = self.manifests[manifest].source.view
        return record_of(row, folders=self.folders[manifest], view=view)

    def judging_of(self, record: Record, split: str) -> list[Finding]:
        """Return that evaluation cannot tell what is right: a fault where the split is for that."""
        error = None if self.unjudged is None else self.unjudged(record)
        if error is None:
            return []
        if split == "train":
            return [Finding("unjudged_in_training", error.message)]
        return [finding_of(error, otherwise="unjudged")]


def read_ledger(reader: RowReader, rows: Iterable[NumberedRow], settings: ClipSettings) -> Ledger:
    """Return what manifests hold, with all faults that show without opening a video or image.

    Args:
        rows: of the reader, all of them.
        settings: of the run.

    Raises:
        ManifestError: a manifest cannot be read.
    """
    ledger = Ledger(reader.manifests, [], {}, set())
    repeats = Repeats()
    checked: dict[tuple[int, int], Finding | None] = {}
    for manifest, place, row in rows:
        entry = Entry(manifest, place, row.record_id, is_named=_is_named(row))
        ledger.entries.append(entry)
        try:
            record = reader.record(manifest, row)
        except RecordError as error:
            entry.findings.append(finding_of(error, otherwise="structure"))
            continue
        used_as = reader.manifests[manifest].split
        own = record.extras.split or UNNAMED_SPLIT
        entry.split = own if used_as == OWN_SPLIT else used_as
        entry.group = record.extras.group
        entry.findings += _note_shared_id(row)
        entry.findings += reader.judging_of(record, entry.split)
        entry.findings += repeats.look_at(record, split=entry.split)
        entry.media = tuple(
            ledger.media.setdefault(item, len(ledger.media)) for item in record.media
        )
        for number, item in zip(entry.media, record.media, strict=True):
            key = (manifest, number)
            if key not in checked:
                checked[key] = _refusal(item, reader.folders[manifest], settings)
            fault = checked[key]
            if fault is not None:
                ledger.refused.add(number)
                entry.findings.append(fault)
    return ledger


def split_order(split: str) -> int:
    """Return a number that is the lower, the cleaner a split must stay: test, validation, train."""
    return -SPLITS.index(split)


def _refusal(item: Media, folders: MediaFolders, settings: ClipSettings) -> Finding | None:
    """Return why a video or image may not be opened, or cannot be read as its record says."""
    try:
        folders.check(item, record_id="")
        item.view.over(settings)
    except RecordError as error:
        return finding_of(error, otherwise="refused", path=_blamed(error, item))
    except ArgumentError as error:
        return Finding("settings", one_line(str(error)))
    return None


def _blamed(error: RecordError, item: Media) -> str:
    return error.__cause__.path if isinstance(error.__cause__, MediaError) else item.path


def _is_named(row: NamedRow) -> bool:
    return isinstance(row.content, dict) and _own_id(row.content) == row.record_id


def _own_id(content: dict[str, object]) -> str:
    own = content.get("id")
    return "" if own is None else str(own)


def _note_shared_id(row: NamedRow) -> list[Finding]:
    own = _own_id(row.content) if isinstance(row.content, dict) else ""
    if not own or own == row.record_id:
        return []
    reason = f"has the id {own!r} of an earlier record, and is called {row.record_id!r}"
    return [Finding("duplicate_id", one_line(reason))]
