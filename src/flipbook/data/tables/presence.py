"""Which videos and images of some conversations can be opened today?

    rows of a table, MediaFolders  ->  for each row why its media cannot be opened, if they cannot

Each different file is asked for once at every opening, for a clip may have been deleted since the
conversations were measured. Where their lengths depend on the content of clips, as with the sampler
`fps`, one that has changed since makes the table worthless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import datasets
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from flipbook.data.media import media_of
from flipbook.data.media_folders import MediaFolders
from flipbook.data.tables.measuring import Measurer, file_states
from flipbook.data.tables.written_turns import turns_from_json
from flipbook.data.turns import Media
from flipbook.errors import RecordError

IntArray = NDArray[np.int64]


class Groups(NamedTuple):
    """Things that are equal under one number, dense from 0 in the order of first appearance.

    numbers: of each thing.  first: for each number, where it appears first.
    """

    numbers: IntArray
    first: IntArray


class Presence(NamedTuple):
    """Why the media of rows cannot be opened: `reasons[reason_of[row]]`, where it is not -1."""

    reason_of: IntArray
    reasons: list[str]
    is_current: bool


def group(keys: IntArray) -> Groups:
    """Return equal rows of whole numbers (N, K) as groups."""
    order = np.lexsort(keys.T)  # stable, so the first of a group comes first
    ordered = keys[order]
    begins = np.ones(len(keys), dtype=bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    first = order[begins]
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    numbers = np.empty(len(keys), dtype=np.int64)
    numbers[order] = rank[np.cumsum(begins) - 1]
    return Groups(numbers, np.sort(first))


def find_media(rows: datasets.Dataset, measurer: Measurer) -> Presence:
    """Return which rows of a table show media that cannot be opened."""
    manifests = column(rows, "manifest").astype(np.int64)
    keys = np.column_stack([manifests, pairs(rows, "media")])
    groups = group(keys)
    folders = [measurer.folders(number) for number in range(len(measurer.sources))]
    reason_of_group = np.full(len(groups.first), -1, dtype=np.int64)
    reasons: list[str] = []
    is_current = True
    lines = lines_at(rows, groups.first, ["manifest", "turns", "file_states"])
    for number, line in enumerate(lines):
        media = media_of(turns_from_json(line["turns"]))
        reason = _why_not(media, folders[line["manifest"]])
        if reason is not None:
            reason_of_group[number] = len(reasons)
            reasons.append(reason)
        elif line["file_states"]:
            is_current = is_current and file_states(media) == line["file_states"]
    return Presence(reason_of_group[groups.numbers], reasons, is_current)


def column(rows: datasets.Dataset, name: str) -> NDArray[Any]:
    """Return a column of numbers."""
    found: NDArray[Any] = rows.data.column(name).to_numpy()
    return found


def pairs(rows: datasets.Dataset, name: str) -> IntArray:
    """Return a column of pairs of whole numbers (N, 2)."""
    flat: IntArray = pc.list_flatten(rows.data.column(name)).to_numpy()
    return flat.reshape(-1, 2)


def lines_at(
    rows: datasets.Dataset, places: IntArray, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield some columns of the rows at rising places, with a part of the table at a time."""
    start = 0
    for batch in rows.data.select(names).to_batches():
        bounds = np.searchsorted(places, [start, start + len(batch)])
        if bounds[0] < bounds[1]:
            yield from batch.take(places[slice(*bounds)] - start).to_pylist()
        start += len(batch)


def _why_not(media: Sequence[Media], folders: MediaFolders) -> str | None:
    for item in media:
        try:
            folders.check(item, record_id="")
        except RecordError as error:
            return error.message
    return None
