"""What must be known of each record to divide a file between splits?

    file -> SplitFacts: arrays over records of what each shows or names, its stratum, its split
         -> the stratum of each record, by task or by answer

No conversation is kept. Media are named by their paths from where relative paths begin, so the
facts are the same on any machine.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from flipbook.data.extras import SPLITS
from flipbook.data.media_folders import MediaFolders
from flipbook.data.records import Record, named_rows, record_of, survey
from flipbook.data.splitting.groups import NOT_KEPT, IntArray, KeyArray
from flipbook.data.splitting.same_content import SameContent
from flipbook.data.turns import Media
from flipbook.errors import ArgumentError, RecordError

BY = ("group", "video")
STRATIFY = ("auto", "task", "answer", "none")
MOST_STRATA = 1000  # different answers; more of them are no classes
NO_TASK = "no task"


class Labels:
    """Numbers texts in the order in which they first appear; gives up on too many of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers: dict[str, int] = {}
        self.are_few = True
        self.of_records: array[int] = array("i")

    def add(self, text: str) -> None:
        """Number the text of the next record."""
        if text not in self._numbers and len(self._numbers) >= self._most:
            self.are_few = False
        if self.are_few:
            self.of_records.append(self._numbers.setdefault(text, len(self._numbers)))

    @property
    def texts(self) -> list[str]:
        """The texts by their numbers."""
        return list(self._numbers)


class SplitFacts:
    """What is known of the records of a file.

    Attributes:
        is_used: one byte for each row; 0 where it is no record.
        edge_rows, edge_keys: (E,), records and hashes of what they show or name.
        splits: int64 (N,), the split that a record has, or `NOT_KEPT`.
        tasks, answers: of the records, in numbers.
        are_classes: all records are of kind classification.
        image_folder: where the paths of written rows begin; None where they begin in `out`.
        rejected: why rows are no records.
    """

    def __init__(self, *, by: str, start: Path, by_content: bool) -> None:
        self.is_used = bytearray()
        self.num_records = 0
        self.tasks = Labels(MOST_STRATA)
        self.answers = Labels(MOST_STRATA)
        self.are_classes = True
        self.image_folder: Path | None = None
        self.rejected: tuple[RecordError, ...] = ()
        self._by = by
        self._same = SameContent() if by_content else None
        self._start = os.path.join(os.path.abspath(start), "")
        self._splits: array[int] = array("b")
        self._rows: array[int] = array("q")
        self._keys: array[int] = array("Q")
        self._is_weak: array[int] = array("b")
        self._folder_clips: set[int] = set()

    def add(self, record: Record) -> None:
        """Note what the next record shows and says."""
        row, extras = self.num_records, record.extras
        self.num_records += 1
        media = record.media
        for item in media:
            self._add_media(row, item)
            if self._same is not None:
                self._same.add(row, item)
        if self._by == "group" and extras.group is not None:
            self._add_key(row, f"group {extras.group}")
        elif not media:
            self._add_key(row, f"record {record.id}")
        self._splits.append(NOT_KEPT if extras.split is None else SPLITS.index(extras.split))
        self.tasks.add(extras.task or NO_TASK)
        answer = record.conversations[-1][-1].text if extras.answer is None else extras.answer
        self.answers.add(f"{extras.task}: {answer}" if extras.task else answer)
        self.are_classes = self.are_classes and extras.kind == "classification"

    def join_same(self) -> None:
        """Join the records that show the same under several names; to be called once, at last.

        Raises:
            MediaError: a file cannot be read.
        """
        for row, key in self._same.keys() if self._same is not None else ():
            self._add(row, key)

    @property
    def edge_rows(self) -> IntArray:
        """Records, one for each of `edge_keys`."""
        return np.asarray(self._rows, dtype=np.int64)[self._holds]

    @property
    def edge_keys(self) -> KeyArray:
        """Hashes of what records show or name."""
        return np.asarray(self._keys, dtype=np.uint64)[self._holds]

    @property
    def splits(self) -> IntArray:
        """Splits that records have already."""
        return np.asarray(self._splits, dtype=np.int64)

    @property
    def _holds(self) -> NDArray[np.bool_]:
        """A picture belongs to the clip that is its folder only where a record shows that clip."""
        clips = np.fromiter(self._folder_clips, dtype=np.uint64, count=len(self._folder_clips))
        holds: NDArray[np.bool_] = np.asarray(self._is_weak, dtype=np.int8) == 0
        holds[np.isin(np.asarray(self._keys, dtype=np.uint64), clips)] = True
        return holds

    def _add_media(self, row: int, item: Media) -> None:
        if item.kind == "video" and not item.frames:
            self._folder_clips.add(self._add_key(row, self._name(item.path)))
        pictures = item.frames or ((item.path,) if item.kind == "image" else ())
        for picture in pictures:
            self._add_key(row, self._name(picture))
        for folder in {os.path.dirname(picture) for picture in pictures}:
            self._add_key(row, self._name(folder), is_weak=True)

    def _name(self, path: str) -> str:
        if path.startswith(self._start):
            return f"media {path[len(self._start) :].replace(os.sep, '/')}"
        return f"media {os.path.relpath(path, self._start).replace(os.sep, '/')}"

    def _add_key(self, row: int, name: str, *, is_weak: bool = False) -> int:
        key = xxh3_64_intdigest(name.encode("utf-8", "surrogateescape"))
        self._add(row, key, is_weak=is_weak)
        return key

    def _add(self, row: int, key: int, *, is_weak: bool = False) -> None:
        self._rows.append(row)
        self._keys.append(key)
        self._is_weak.append(is_weak)


def read_facts(
    path: Path,
    *,
    out: Path,
    image_folder: str | os.PathLike[str] | None,
    by: str,
    by_content: bool,
) -> SplitFacts:
    """Return what is known of the records of a file, after looking for their media.

    Args:
        out: where the records will be written.
        by: "group" joins also what names the same group, "video" only what shows the same.
        by_content: clips of different names are the same where their content is.

    Raises:
        ManifestError: the file cannot be read.
        MediaError: a clip cannot be read.
        ArgumentError: `image_folder` is no folder.
    """
    folders = MediaFolders(path, image_folder)
    facts = SplitFacts(by=by, start=folders.start, by_content=by_content)
    places = _Places(out, folders.start, path.absolute().parent)
    rejected: list[RecordError] = []
    for row in named_rows(path, survey(path)):
        try:
            record = record_of(row, folders=folders)
        except RecordError as error:
            rejected.append(error)
            facts.is_used.append(0)
            continue
        facts.is_used.append(1)
        facts.add(record)
        places.add(record)
    facts.join_same()
    facts.rejected = tuple(rejected)
    facts.image_folder = places.image_folder
    return facts


def used_records(
    path: Path, facts: SplitFacts, *, image_folder: str | os.PathLike[str] | None
) -> Iterator[Record]:
    """Yield the records of a file again, those that `read_facts` took; no media are looked for.

    Raises:
        ManifestError: the file has changed.
    """
    folders = MediaFolders(path, image_folder, looks_up=False)
    for is_used, row in zip(facts.is_used, named_rows(path, survey(path)), strict=False):
        if is_used:
            yield record_of(row, folders=folders)


def ids_at(path: Path, facts: SplitFacts, wanted: set[int]) -> dict[int, str]:
    """Return the ids of some records by their numbers, after reading the file again."""
    rows = zip(facts.is_used, named_rows(path, survey(path)), strict=False)
    used = (row for is_used, row in rows if is_used)
    return {number: row.record_id for number, row in enumerate(used) if number in wanted}


def choose_strata(facts: SplitFacts, stratify: str) -> tuple[str, IntArray, list[str]]:
    """Return by what records are told apart, the stratum of each (N,), and what strata are called.

    Raises:
        ArgumentError: the answers are too many to be classes.
    """
    if stratify == "auto":
        is_by_answer = facts.are_classes and facts.answers.are_few
        stratify = "answer" if is_by_answer else "task" if facts.tasks.are_few else "none"
    if stratify == "none":
        return stratify, np.zeros(facts.num_records, dtype=np.int64), ["all"]
    labels = facts.tasks if stratify == "task" else facts.answers
    if not labels.are_few:
        raise ArgumentError(
            f"--stratify {stratify}: there are more than {MOST_STRATA:,} different ones, so they "
            "are no classes; use another --stratify, or none"
        )
    return stratify, np.asarray(labels.of_records, dtype=np.int64), labels.texts


class _Places:
    """Finds the folder that holds all media of some records."""

    def __init__(self, out: Path, start: Path, manifest_folder: Path) -> None:
        self._out, *named = (
            os.path.join(os.path.abspath(f), "") for f in (out, start, manifest_folder)
        )
        self._all = os.path.commonpath(named)
        self._left = [self._out, *named]

    def add(self, record: Record) -> None:
        for item in record.media:
            for path in item.frames or (item.path,):
                if not all(path.startswith(folder) for folder in self._left):
                    self._left = [folder for folder in self._left if path.startswith(folder)]

    @property
    def image_folder(self) -> Path | None:
        """The nearest folder above all media; None where that is the folder of the new files."""
        folder = self._left[0] if self._left else self._all
        return None if folder == self._out else Path(folder)
