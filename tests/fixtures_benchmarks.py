"""What tests of the readers of benchmarks share: files that only need to exist, and records."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from flipbook.data.formats.asked import Rows
from flipbook.data.formats.captions import is_captions, is_msrvtt
from flipbook.data.formats.choice_benchmarks import is_egoschema, is_nextqa, is_star
from flipbook.data.formats.choices import is_choices, is_mvbench
from flipbook.data.formats.classes import is_class_folders
from flipbook.data.formats.dense import is_activitynet, is_charades_sta
from flipbook.data.formats.open_qa import is_activitynet_qa, is_msrvtt_qa, is_msvd_qa
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.qevd import is_qevd
from flipbook.data.media_folders import MediaFolders
from flipbook.data.records import NamedRow, Record, record_of
from flipbook.errors import RecordError

RECOGNISERS: dict[str, Callable[[Head], bool]] = {
    "class_folders": is_class_folders,
    "qevd": is_qevd,
    "nextqa": is_nextqa,
    "egoschema": is_egoschema,
    "star": is_star,
    "mvbench": is_mvbench,
    "choices": is_choices,
    "msrvtt_qa": is_msrvtt_qa,
    "msvd_qa": is_msvd_qa,
    "activitynet_qa": is_activitynet_qa,
    "activitynet": is_activitynet,
    "charades_sta": is_charades_sta,
    "msrvtt": is_msrvtt,
    "captions": is_captions,
}


class Outcome(NamedTuple):
    """What a file became: records by their ids, and errors as text, in order."""

    records: dict[str, Record]
    errors: list[str]


def make_files(folder: Path, *names: str) -> Path:
    """Write files that only need to exist, and return their folder."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file as the benchmarks do, on one line, and return its path."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def recognised(path: Path) -> list[str]:
    """Return the names of all readers of benchmarks that recognise a file or folder."""
    head = Origin(path).head
    return [name for name, recognises in RECOGNISERS.items() if recognises(head)]


def outcome(read: Callable[[Origin], Rows], origin: Origin) -> Outcome:
    """Return what a reader makes of a file, after the way through JSON; ids must all differ."""
    folders = MediaFolders(origin.media_folder / "rows.jsonl", origin.media_folder)
    records: dict[str, Record] = {}
    errors: list[str] = []
    for row in read(origin):
        if isinstance(row, RecordError):
            errors.append(str(row))
            continue
        again = json.loads(json.dumps(row, allow_nan=False))
        assert again["id"] not in records
        records[again["id"]] = record_of(NamedRow(again["id"], again), folders=folders)
    assert not any("\n" in error for error in errors)
    return Outcome(records, errors)


def asked(record: Record) -> tuple[str, str]:
    """Return the question and the reply of a record."""
    (turns,) = record.conversations
    words = [part for part in turns[0].parts if isinstance(part, str)]
    return "\n".join(words), turns[1].text


def shown_path(record: Record, folder: Path) -> str:
    """Return the path of the one clip that a record shows, relative to a folder."""
    (media,) = record.media
    return str(Path(media.path).relative_to(folder))
