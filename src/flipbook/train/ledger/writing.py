"""What became of every record that the user named for training?

    table, TrainedCounts, Upstream  ->  RUN/ledger.jsonl   a line for each record that is trained on
                                                           or left out, with its reason
                                        RUN/ledger.json    totals, which add up

A record is trained on k times when each of its conversations was learned in k finished steps. Where
some were learned more often than others, k is the least of these numbers and the line has them all.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flipbook.data.doctor.writing import write_json, written_whole
from flipbook.data.tables.table import ConversationTable
from flipbook.errors import DataError, StorageError, TrainingError
from flipbook.train.data_summary import without_folders
from flipbook.train.ledger.counts import Counts, TrainedCounts
from flipbook.train.ledger.upstream import READING, Excluded, Upstream, excluded_of

LEDGER_FILE = "ledger.jsonl"
TOTALS_FILE = "ledger.json"
NUM_NAMES = 5  # in a message
Line = dict[str, Any]


@dataclass
class Totals:
    """How many records came to which end."""

    times: Counter[int] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def num_trained(self) -> int:
        """Records that were trained on at least once."""
        return self.times.total() - self.times[0]

    def take(self, found: Excluded) -> None:
        """Count a record that is left out."""
        self.stages[found.stage] += 1
        self.codes[found.code] += 1


def write_ledger(
    run_folder: Path,
    table: ConversationTable,
    counts: TrainedCounts,
    upstream: Upstream,
    *,
    planned_steps: int,
) -> dict[str, Any]:
    """Return the totals, after writing both files of the ledger.

    Args:
        planned_steps: of the whole run; it may have ended before.

    Raises:
        StorageError: they cannot be written.
    """
    totals = Totals()
    try:
        with written_whole(run_folder / LEDGER_FILE) as file:
            for line in _lines(table, counts, upstream, totals):
                file.write(json.dumps(line) + "\n")
        told = _told(totals, counts, upstream, planned_steps=planned_steps)
        write_json(run_folder / TOTALS_FILE, told)
    except DataError as error:
        raise StorageError(str(error)) from error
    return told


def check_promise(table: ConversationTable, counts: TrainedCounts, promised: Counts) -> None:
    """Check that each conversation was in as many steps as it should have been.

    Raises:
        TrainingError: one was not.
    """
    seen = counts.taken + counts.skipped
    wrong = np.flatnonzero(seen != promised)
    if not len(wrong):
        return
    names = [line["record_id"] for line in table.lines(wrong[:NUM_NAMES], ["record_id"])]
    told = ", ".join(
        f"{name} ({seen[at]} in place of {promised[at]})"
        for name, at in zip(names, wrong[:NUM_NAMES].tolist(), strict=True)
    )
    more = f" and {len(wrong) - NUM_NAMES:,} more" if len(wrong) > NUM_NAMES else ""
    raise TrainingError(
        f"After step {counts.step} {len(wrong):,} conversations were not trained on as often as "
        f"they should have been: {told}{more}. The checkpoints of this run are kept, and its "
        f"ledger.jsonl has all counts. This is a mistake of flipbook, or --output_dir was changed "
        "from outside; do not rely on this run."
    )


def told_of_ledger(totals: dict[str, Any]) -> str:
    """Return the totals in a line.

    All 1,234 records: 1,200 trained 3 times, 34 excluded (reasons in ledger.jsonl).
    """
    parts = []
    for times, number in totals["times"].items():
        often = {"0": "not trained", "1": "trained once"}.get(times, f"trained {times} times")
        parts.append(f"{number:,} {often}")
    for split, number in totals["held_out"].items():
        if number:
            parts.append(f"{number:,} kept for {split}")
    if totals["excluded"]:
        parts.append(f"{totals['excluded']:,} excluded (reasons in {LEDGER_FILE})")
    return f"All {totals['named']:,} records: {', '.join(parts)}."


def _lines(
    table: ConversationTable, counts: TrainedCounts, upstream: Upstream, totals: Totals
) -> Iterator[Line]:
    """Yield the lines of a ledger in the order of the records, and count them."""
    for early in upstream.excluded():
        totals.take(early)
        yield _line_of(early, table)
    rejected = zip(table.rejected_at.tolist(), table.check.rejected, strict=True)
    excluded: Iterator[tuple[int, Line | Excluded]] = (
        (place, excluded_of(error, READING)) for place, error in rejected
    )
    trained: Iterator[tuple[int, Line | Excluded]] = _trained(table, counts)
    for _, found in heapq.merge(trained, excluded, key=lambda one: one[0]):
        if isinstance(found, Excluded):
            totals.take(found)
            yield _line_of(found, table)
        else:
            totals.times[found["trained"]] += 1
            yield found


def _trained(
    table: ConversationTable, counts: TrainedCounts
) -> Iterator[tuple[int, Line | Excluded]]:
    """Yield the number and the line of each record that has conversations."""
    starts = np.flatnonzero(np.diff(table.record_of, prepend=-1))
    if not len(starts):
        return
    least = np.minimum.reduceat(counts.taken, starts)
    most = np.maximum.reduceat(counts.taken, starts)
    skipped = np.maximum.reduceat(counts.skipped, starts)
    ends = np.append(starts[1:], len(table))
    files = [Path(source.path).name for source in table.sources]
    for at, line in enumerate(table.lines(starts, ["record_id"])):
        start = int(starts[at])
        found: Line = {"record_id": line["record_id"], "trained": int(least[at])}
        if len(files) > 1:
            found["file"] = files[table.source_of[start]]
        if least[at] != most[at]:
            found["conversations"] = counts.taken[start : ends[at]].tolist()
        if skipped[at]:
            found["in_skipped_steps"] = int(skipped[at])
        yield int(table.record_of[start]), found


def _line_of(found: Excluded, table: ConversationTable) -> Line:
    return {
        "record_id": found.record_id,
        "excluded": without_folders(found.reason, table.sources),
        "stage": found.stage,
    }


def _told(
    totals: Totals, counts: TrainedCounts, upstream: Upstream, *, planned_steps: int
) -> dict[str, Any]:
    """Return the content of `ledger.json`."""
    num_excluded = totals.stages.total()
    parts = totals.times.total() + num_excluded + sum(upstream.held_out.values())
    return {
        "step": counts.step,
        "planned_steps": planned_steps,
        "named": upstream.num_named,
        "trained": totals.num_trained,
        "not_trained": totals.times[0],
        "excluded": num_excluded,
        "held_out": upstream.held_out,
        "adds_up": parts == upstream.num_named,
        "times": {str(k): totals.times[k] for k in sorted(totals.times) if totals.times[k]},
        "excluded_by_stage": dict(totals.stages),
        "excluded_by_reason": dict(totals.codes),
        "conversations": len(counts.taken),
        "conversations_trained": int(counts.taken.sum(dtype=np.int64)),
    }
