"""Which checkpoints are no longer needed?

    whole checkpoints of the run, how many are wanted, the newest, the best  ->  those to delete

By number, never by time. The newest and the best always stay, also where fewer are wanted. Damaged
ones, those of other runs, and those that a run which went back has set aside, are not counted and
not touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flipbook.train.checkpoints.places import remove_checkpoint, whole_steps


def steps_to_remove(
    steps: Iterable[int], *, limit: int | None, newest: int, best: int | None
) -> list[int]:
    """Return the steps whose checkpoints go, the first step first.

    [2, 4, 6, 8] with a limit of 2, newest 8 and best 4  ->  [2, 6]
    """
    if limit is None or limit < 1:
        return []
    kept = {newest} if best is None else {newest, best}
    older = sorted(step for step in steps if step < newest and step not in kept)
    room = max(limit - len(kept), 0)
    return older[: len(older) - room] if room < len(older) else []


def rotate(
    run_folder: Path, *, run_id: str, limit: int | None, newest: int, best: int | None
) -> None:
    """Delete the checkpoints of a run that are no longer needed, if its newest is whole.

    Raises:
        OSError: one of them cannot be renamed.
    """
    if limit is None:
        return
    steps = whole_steps(run_folder, run_id)
    if newest not in steps:
        return
    for step in steps_to_remove(steps, limit=limit, newest=newest, best=best):
        remove_checkpoint(run_folder, step)
