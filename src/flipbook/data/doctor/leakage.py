"""Which records would let an evaluation ask about what was trained on?

    Entries with split, group and content of what they show -> a fault for those that must give way

A score is worth something only where nothing of the evaluation was seen before. So the test split
keeps all it has, validation gives way to test, and training to both:

    test         clip A                    keeps A
    validation   clip A    clip B          A goes, B stays
    train        clip B    clip A  clip C  only C stays

A clip is known by its content, whatever its name and whichever stretch of it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.ledger import Entry, split_order
from flipbook.errors import one_line

Contents = Callable[[Entry], Sequence[tuple[str, str]]]


class _Owner(NamedTuple):
    """Who has a clip or a group in a split that must stay clean."""

    split: str
    record_id: str
    path: str


def find_leaks(entries: Sequence[Entry], contents: Contents) -> Iterator[tuple[Entry, Finding]]:
    """Yield the entries that must give way, with what they share.

    Args:
        entries: those that are not sound count for nothing.
        contents: gives hash and path of each video and image that an entry shows.
    """
    owners: dict[tuple[str, str], _Owner] = {}
    splits = sorted({entry.split for entry in entries}, key=split_order)
    if len(splits) < 2:
        return
    for split in splits:
        new: dict[tuple[str, str], _Owner] = {}
        for entry in entries:
            if entry.split != split or not entry.is_sound:
                continue
            keys = [(("clip", content), path) for content, path in contents(entry)]
            if entry.group is not None:
                keys.append((("group", entry.group), ""))
            shared = [(key, path, owners[key]) for key, path in keys if key in owners]
            for (kind, _), path, owner in shared:
                yield entry, _leak(entry, kind, path, owner)
            for key, path in keys if not shared else ():
                new.setdefault(key, _Owner(split, entry.record_id, path))
        owners |= {key: owner for key, owner in new.items() if key not in owners}


def _leak(entry: Entry, kind: str, path: str, owner: _Owner) -> Finding:
    whose = f"record {owner.record_id} of the {owner.split} split"
    if kind == "group":
        return Finding(
            "leak_group",
            one_line(
                f"is of group {entry.group!r}, as is {whose}; keep a group in one split, so that "
                "its score is no repetition of what was trained on"
            ),
        )
    same = "" if path == owner.path else f" under the name {owner.path}"
    return Finding(
        "leak_clip",
        one_line(
            f"is shown by {whose} too{same}; keep a clip in one split, so that its score is no "
            "repetition of what was trained on"
        ),
        path,
    )
