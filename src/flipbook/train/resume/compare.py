"""In what does a run differ from the one that it goes on with, and may it?

RunFacts of a checkpoint, RunFacts now  ->  nothing, a warning, or an ArgumentError with a table
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipbook.errors import ArgumentError
from flipbook.train.resume.facts import GROUPS, RunFacts

NEVER = ("data", "model", "batches")  # may differ under no flag
_SHOWN = 40  # letters of a value
_PROCESSES = "num_processes"
_ABSENT = "-"


@dataclass(frozen=True)
class Change:
    """A fact that is another one now."""

    group: str
    name: str
    before: str
    now: str


def changes_between(before: RunFacts, now: RunFacts) -> list[Change]:
    """Return in what two runs differ, in the order of the groups."""
    found = []
    for group in GROUPS:
        old, new = getattr(before, group), getattr(now, group)
        for name in dict.fromkeys([*old, *new]):
            is_same = name in old and name in new and old[name] == new[name]
            if not is_same:
                found.append(Change(group, name, _shown(old, name), _shown(new, name)))
    if any(change.name == _PROCESSES for change in found):  # of which this follows
        found = [change for change in found if change.name != "batches per epoch"]
    return found


def refusal(changes: Sequence[Change], *, checkpoint: Path, changed_is_meant: bool) -> str | None:
    """Return why a run may not go on; None where it may.

    Args:
        changed_is_meant: `--resume_changed`.
    """
    if not changes:
        return None
    groups = {change.group for change in changes}
    if groups <= {"settings", "machine"} and changed_is_meant:
        return None
    return (
        f"{checkpoint} cannot be gone on from: this run is another one.\n{table_of(changes)}\n"
        f"Nothing was changed. {_advice(changes, checkpoint)}"
    )


def warning(changes: Sequence[Change]) -> str | None:
    """Return what is to be told of changes that are meant."""
    if not changes:
        return None
    return (
        "Warning: this run goes on, but its losses are not those that it would have had before "
        f"this changed (--resume_changed):\n{table_of(changes)}"
    )


def refuse_changes(changes: Sequence[Change], *, checkpoint: Path, changed_is_meant: bool) -> None:
    """Check that a run may go on.

    Raises:
        ArgumentError: it may not.
    """
    found = refusal(changes, checkpoint=checkpoint, changed_is_meant=changed_is_meant)
    if found is not None:
        raise ArgumentError(found)


def table_of(changes: Sequence[Change]) -> str:
    """Return lines: what differs, how it is in the checkpoint, how it is now."""
    rows = [("", "in the checkpoint", "now")]
    rows += [(change.name, change.before, change.now) for change in changes]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _advice(changes: Sequence[Change], checkpoint: Path) -> str:
    groups = {change.group for change in changes}
    again = (
        "or begin a new run from its weights: --model_name_or_path "
        f"{checkpoint} and another --output_dir."
    )
    if groups == {"processes"} and any(change.name == _PROCESSES for change in changes):
        return (
            "Start as many processes as before, or give --resume_remap true, which takes the same "
            f"steps on as many as there are; {again}"
        )
    if groups <= {"settings", "machine"}:
        return (
            "Give what was given before, or --resume_changed true to go on nevertheless, with "
            f"other losses; {again}"
        )
    return f"Give what was given before, {again}"


def _shown(facts: dict[str, Any], name: str) -> str:
    if name not in facts:
        return _ABSENT
    value = facts[name]
    text = value if isinstance(value, str) else json.dumps(value)
    is_hash = isinstance(value, str) and len(value) in (32, 64)
    return text[:12] if is_hash else text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
