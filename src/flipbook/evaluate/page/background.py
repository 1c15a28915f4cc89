"""What were the data, and how was everything made?

data.json, environment.json, provenance of scores.json  ->  tables
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flipbook.evaluate.page.numbers import NOTHING, quantity
from flipbook.evaluate.page.tables import Table

SPLITS = ("train", "validation")
_COUNTS = {
    "num_records": "records",
    "num_conversations": "conversations",
    "num_videos": "videos",
    "num_images": "images",
    "num_rejected": "records left out",
    "median_tokens": "tokens of a conversation, median",
    "longest_tokens": "tokens of the longest",
}


def data_tables(data: Mapping[str, Any] | None) -> tuple[Table, ...]:
    """Return what a run's data were: counts, tasks, files."""
    splits = splits_of(data)
    if not splits:
        return ()
    counts = tuple(
        (told, *(_counted(part.get(name)) for part in splits.values()))
        for name, told in _COUNTS.items()
        if any(name in part for part in splits.values())
    )
    tables = [Table("Data", ("", *splits), counts)]
    tasks = dict.fromkeys(task for part in splits.values() for task in part.get("tasks", {}))
    if tasks:
        rows = tuple(
            (task, *(_counted(part.get("tasks", {}).get(task)) for part in splits.values()))
            for task in tasks
        )
        tables.append(Table("Conversations by task", ("task", *splits), rows))
    files = tuple(
        (file["file"], split, file.get("sha256", NOTHING), _counted(file.get("num_records")))
        for split, part in splits.items()
        for file in part.get("files", ())
    )
    if files:
        tables.append(
            Table("Files", ("file", "split", "SHA-256", "records"), files, text_columns=(0, 1, 2))
        )
    return tuple(tables)


def rejected_table(data: Mapping[str, Any] | None) -> Table | None:
    """Return the records that were left out, with reasons; None where none was."""
    splits = splits_of(data)
    rows = tuple(
        (error["record_id"], split, error["reason"])
        for split, part in splits.items()
        for error in part.get("rejected", ())
    )
    if not rows:
        return None
    left = sum(part.get("num_rejected", 0) for part in splits.values()) - len(rows)
    note = f"{left:,} more are not listed." if left > 0 else ""
    return Table(
        "Records left out", ("record", "split", "reason"), rows, note, text_columns=(0, 1, 2)
    )


def environment_table(environment: Mapping[str, Any] | None) -> Table | None:
    """Return versions and hardware; None where they were not written down."""
    if not environment:
        return None
    plain = {name: value for name, value in environment.items() if name != "versions"}
    facts = {**plain, **environment.get("versions", {})}
    rows = tuple((name, _told(value)) for name, value in facts.items())
    return Table("Environment", ("what", "which"), rows, text_columns=(0, 1))


def provenance_text(scores: Mapping[str, Any]) -> str:
    """Return where the scores come from, as indented JSON; empty where nothing is told."""
    found = scores.get("provenance")
    return json.dumps(found, indent=2, ensure_ascii=False) if found else ""


def splits_of(data: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Return the parts of the data that there are."""
    return {split: data[split] for split in SPLITS if data.get(split)} if data else {}


def _counted(count: float | None) -> str:
    return NOTHING if count is None else quantity(count) if count % 1 else f"{count:,.0f}"


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
