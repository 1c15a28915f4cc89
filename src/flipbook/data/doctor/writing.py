"""What does a pass leave behind, for people and for other programs?

    entries, rows -> a clean manifest for each one that was read
                     OUT/quarantine.jsonl   a line for each record and reason
                     OUT/notes.jsonl        what is unusual and was kept
                     OUT/summary.json       counts

Each file appears whole or not at all. A row stands in its clean manifest as it was; only one that
shares its id with another, or has none, is written with the name under which it was checked.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.ledger import Entry, Ledger, Manifest
from flipbook.data.json_text import json_line
from flipbook.data.media_folders import MediaFolders
from flipbook.data.rows import read_rows
from flipbook.data.sources import Source
from flipbook.errors import RecordError, StorageError, one_line

QUARANTINE_FILE = "quarantine.jsonl"
NOTES_FILE = "notes.jsonl"
SUMMARY_FILE = "summary.json"


class Quarantined(NamedTuple):
    """A reason for which a record is left out."""

    record_id: str
    file: Path
    row: int
    code: str
    reason: str
    path: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "id": self.record_id,
            "file": str(self.file),
            "row": self.row,
            "code": self.code,
            "reason": told(self.path, self.reason),
        }


def quarantined_of(ledger: Ledger) -> tuple[Quarantined, ...]:
    """Return why records are left out, in their order; one may have several reasons."""
    return tuple(
        Quarantined(
            entry.record_id,
            ledger.manifests[entry.manifest].path,
            entry.row,
            finding.code,
            finding.reason,
            finding.path,
        )
        for entry in ledger.entries
        for finding in dict.fromkeys(entry.findings)
        if finding.rejects
    )


def clean_sources(ledger: Ledger, *, out: Path, is_beside: bool) -> tuple[Source, ...]:
    """Return what the clean manifest of each data set is to be, in their order.

    It lies in `out` and begins its media paths where the old one does, which its `image_folder`
    says. Where its media could not be found so, it lies beside the old one.

    Args:
        is_beside: let all of them lie beside the old ones, to be read without an image folder.
    """
    taken = {manifest.path.absolute() for manifest in ledger.manifests}
    found = []
    for number, (source, _) in enumerate(ledger.manifests):
        path = Path(source.path).absolute()
        place, folder = out.absolute() / f"{path.stem}.jsonl", source.image_folder
        if not is_beside and folder is None:
            folder = str(path.parent)
        if is_beside or not _is_readable(ledger, number, MediaFolders(place, folder)):
            place, folder = path.with_name(f"{path.stem}_checked.jsonl"), source.image_folder
        stem, count = place.stem, 1
        while place in taken:
            count += 1
            place = place.with_name(f"{stem}_{count}.jsonl")
        taken.add(place)
        found.append(replace(source, path=str(place), image_folder=folder))
    return tuple(found)


def write_clean(manifest: Manifest, entries: Sequence[Entry], path: Path) -> int:
    """Write the sound rows of a manifest; return how many they are.

    Raises:
        StorageError: it cannot be written.
    """
    num_written = 0
    rows = read_rows(manifest.path)
    with written_whole(path) as file:
        for entry, (_, row) in zip(entries, rows, strict=True):
            if entry.is_sound:
                file.write(_as_line(row, entry))
                num_written += 1
    return num_written


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write objects, one a line.

    Raises:
        StorageError: they cannot be written.
    """
    with written_whole(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=True) + "\n")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object.

    Raises:
        StorageError: it cannot be written.
    """
    with written_whole(path) as file:
        file.write(json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[TextIO]:
    """Open a file that is seen when all of it is written, and not at all if that fails.

    Raises:
        StorageError: it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.unfinished")
    try:
        with unfinished.open("x", encoding="utf-8", newline="\n") as file:
            yield file
        os.replace(unfinished, path)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror}); make room, or change the permissions "
            "of its folder. With --image_folder all that is written lies in --out"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def told(path: str, reason: str) -> str:
    """Return a reason with the file that it is about."""
    name = one_line(path)
    return f"{name}: {reason}" if name and name not in reason else reason


def note_as_dict(finding: Finding, entry: Entry | None = None) -> dict[str, Any]:
    """Return a note as JSON has it."""
    name = {} if entry is None else {"id": entry.record_id}
    return {**name, "code": finding.code, "reason": told(finding.path, finding.reason)}


def _as_line(row: Any, entry: Entry) -> str:
    """Return a row as a line; the name under which it was checked takes the place of its id."""
    if not entry.is_named:
        row = row | {"id": entry.record_id}
    return json_line(row)


def _is_readable(ledger: Ledger, manifest: int, folders: MediaFolders) -> bool:
    """Return whether the sound records of a manifest find their media in some folders."""
    items = list(ledger.media)
    needed = {
        number
        for entry in ledger.entries
        if entry.manifest == manifest and entry.is_sound
        for number in entry.media
    }
    try:
        for number in needed:
            folders.check(items[number], record_id="")
    except RecordError:
        return False
    return True
