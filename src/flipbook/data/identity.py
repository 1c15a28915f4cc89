"""Are these the conversations and clips that a run began with?

    ConversationTable       -> one hash of what is learned, in which order, one of what it shows
    ConversationTable, time -> how many of these files were written later, and the first names

Neither knows in which folders the files lie, so that they can be moved. Of videos and images only
the size is in the hash, for there may be millions: of a file that was written anew with just as
many bytes, only the time tells, and a copy has another time too.
"""

from __future__ import annotations

import os
import stat

import numpy as np
from xxhash import xxh3_128

from flipbook.data.media import media_of
from flipbook.data.tables.table import ConversationTable
from flipbook.data.tables.written_turns import turns_from_json
from flipbook.data.turns import Media

NUM_NAMES = 3
_COLUMNS = (
    "num_tokens",
    "head_tokens",
    "clips",
    "source_of",
    "record_of",
    "num_videos",
    "num_images",
    "num_frames",
    "frame_size",
    "stays",
)


def fingerprint_conversations(table: ConversationTable) -> str:
    """Return a hash of which conversations there are, in their order, and what each needs."""
    hashed = xxh3_128()
    for name in _COLUMNS:
        column = np.ascontiguousarray(getattr(table, name), dtype=np.int64)
        hashed.update(f"{name} {len(column)}".encode())
        hashed.update(column.tobytes())
    for line in table.lines(np.arange(len(table)), ["record_id"]):
        hashed.update(line["record_id"].encode("utf-8", "surrogatepass") + b"\n")
    return hashed.hexdigest()


def fingerprint_media(table: ConversationTable) -> str:
    """Return a hash of the sizes of the files that are shown, in the order of first appearance."""
    hashed = xxh3_128()
    _, first = np.unique(table.clips, return_index=True)
    for line in table.lines(np.sort(first), ["turns"]):
        for item in media_of(turns_from_json(line["turns"])):
            hashed.update(f"{item.kind} {_num_bytes(item)}\n".encode())
    return hashed.hexdigest()


def media_written_after(table: ConversationTable, time_s: float) -> tuple[int, list[str]]:
    """Return how many videos and images were written after a time, and the names of the first."""
    count, names = 0, []
    _, first = np.unique(table.clips, return_index=True)
    for line in table.lines(np.sort(first), ["turns"]):
        for item in media_of(turns_from_json(line["turns"])):
            if any(_written_s(path) > time_s for path in item.frames or (item.path,)):
                count += 1
                names += [os.path.basename(item.path)] if count <= NUM_NAMES else []
    return count, names


def _written_s(path: str) -> float:
    """Return when a file was last written; 0 where there is none."""
    try:
        return os.stat(path).st_mtime
    except (OSError, ValueError):
        return 0.0


def _num_bytes(item: Media) -> list[int]:
    """Return the sizes of the files of one video or image; of a folder, those in it by name."""
    if item.frames:
        return [_size(path) for path in item.frames]
    if os.path.isdir(item.path):
        with os.scandir(item.path) as entries:
            return [_size(path) for path in sorted(entry.path for entry in entries)]
    return [_size(item.path)]


def _size(path: str) -> int:
    """Return how many bytes a file has; -1 where it is none."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return -1
    return state.st_size if stat.S_ISREG(state.st_mode) else -1
