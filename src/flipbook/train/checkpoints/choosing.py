"""From which checkpoint does a run go on?

run folder, id of its run  ->  the newest checkpoint that is whole and its own
a named folder             ->  that one, or a refusal
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flipbook.errors import ArgumentError, CheckpointError
from flipbook.train.checkpoints.manifest import Manifest, read_manifest, verify
from flipbook.train.checkpoints.places import checkpoint_of, other_run, step_of, steps_in

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Chosen:
    """A checkpoint to go on from, every byte of it verified."""

    folder: Path
    manifest: Manifest


def newest_whole(run_folder: Path, *, run_id: str | None, tell: Tell) -> Chosen | None:
    """Return the newest checkpoint of a run that is whole; None where it has none yet.

    Args:
        run_folder: where to look.
        run_id: of the run; None where nothing tells, and all checkpoints there must be of one.
        tell: is told of each checkpoint that is passed over, and why.

    Raises:
        CheckpointError: the run has checkpoints and none is whole, or they are of several runs.
    """
    run_id = _only_run(run_folder) if run_id is None else run_id
    damaged = []
    for step in reversed(steps_in(run_folder)):
        folder = checkpoint_of(run_folder, step)
        try:
            if (other := other_run(folder, run_id)) is not None:
                tell(f"{folder} is passed over: it is of another run ({other}).")
                continue
            chosen = _verified(folder)
        except CheckpointError as error:
            tell(f"{folder} is passed over: {error}")
            damaged.append(str(error))
            continue
        if damaged:
            tell(f"The run goes on from {folder}, which is whole.")
        return chosen
    if damaged:
        raise CheckpointError(
            f"{run_folder}: none of its checkpoints can be gone on from. "
            + " ".join(damaged)
            + " Nothing was changed. Bring one back from a copy, or begin a new run with another "
            "--output_dir."
        )
    return None


def named(folder: Path, *, run_id: str | None) -> Chosen:
    """Return the checkpoint that was named, after reading every byte of it.

    Args:
        folder: its own.
        run_id: of the run that is to go on; None where the folder of the run is a new one.

    Raises:
        ArgumentError: there is no such folder.
        CheckpointError: it is damaged, or of another run.
    """
    if not folder.is_dir():
        raise ArgumentError(
            f"--resume_from_checkpoint {folder}: there is no such folder. Use 'latest' for the "
            "newest one in the run folder."
        )
    other = other_run(folder, run_id)
    if other is not None:
        raise CheckpointError(
            f"{folder}: is of another run ({other}) than the output folder ({run_id}). Nothing "
            "was changed. Name a checkpoint of this run, or give another --output_dir."
        )
    return _verified(folder)


def _verified(folder: Path) -> Chosen:
    manifest = verify(folder)
    step = step_of(folder)
    if step is not None and step != manifest.step:
        raise CheckpointError(
            f"{folder}: was written at step {manifest.step} and has been renamed. Give it the "
            f"name checkpoint-{manifest.step} again."
        )
    if not manifest.can_go_on:
        raise CheckpointError(
            f"{folder}: holds weights and no state of the optimizer (--save_only_model), so no "
            "run can go on from it. Begin a new one with --model_name_or_path and this folder."
        )
    return Chosen(folder, manifest)


def _only_run(run_folder: Path) -> str | None:
    """Return of which run all checkpoints of a folder are."""
    found: dict[str, Path] = {}
    for step in steps_in(run_folder):
        folder = checkpoint_of(run_folder, step)
        try:
            found[read_manifest(folder).run_id] = folder
        except CheckpointError:
            continue  # it will be named when it is passed over
    if len(found) > 1:
        raise CheckpointError(
            f"{run_folder}: holds checkpoints of {len(found)} runs ("
            + ", ".join(map(str, found.values()))
            + ") and no run.json that tells whose folder it is. Nothing was changed. Name the one "
            "to go on from with --resume_from_checkpoint and its folder."
        )
    return next(iter(found), None)
