"""Where do checkpoints stand in a run folder, and how do they come and go?

    RUN/.partial/checkpoint-N  ->  RUN/checkpoint-N, when all of it is on the disk
    RUN/checkpoint-N           ->  RUN/.removed/checkpoint-N, then nothing

Coming and going are renamings, so under the name of a checkpoint there is a whole one or none. What
a process that died has left in the two hidden folders is swept away when a run starts.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from flipbook.data.written import bring_back, put_folder, sync_names, sync_tree
from flipbook.errors import CheckpointError
from flipbook.train.checkpoints.manifest import Manifest, read_manifest, verify_sizes

PARTIAL = ".partial"
REMOVED = ".removed"
_NAME = re.compile(r"checkpoint-(\d+)")


def checkpoint_of(run_folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step stands."""
    return run_folder / f"checkpoint-{step}"


def staged_of(run_folder: Path, step: int) -> Path:
    """Return where the checkpoint of a step is written."""
    return run_folder / PARTIAL / f"checkpoint-{step}"


def step_of(folder: Path) -> int | None:
    """Return of which step a folder is the checkpoint, by its name; None for other names."""
    match = _NAME.fullmatch(folder.name)
    return int(match.group(1)) if match else None


def steps_in(run_folder: Path) -> list[int]:
    """Return the steps of all checkpoints in a run folder, the first step first."""
    if not run_folder.is_dir():
        return []
    found = [step_of(path) for path in run_folder.iterdir() if path.is_dir()]
    return sorted(step for step in found if step is not None)


def own_steps(run_folder: Path, run_id: str | None) -> list[int]:
    """Return the steps of all checkpoints but those of other runs, the first step first.

    Whether they are whole is seen when one is taken.

    Args:
        run_folder: where they stand.
        run_id: of the run; None where nothing tells.
    """
    found = steps_in(run_folder)
    return [step for step in found if not _is_foreign(checkpoint_of(run_folder, step), run_id)]


def newest_checkpoint(run_folder: Path, run_id: str | None) -> Path | None:
    """Return the checkpoint of the highest step of a run, see `own_steps`; None without any."""
    steps = own_steps(run_folder, run_id)
    return checkpoint_of(run_folder, steps[-1]) if steps else None


def other_run(folder: Path, run_id: str | None) -> str | None:
    """Return of which other run a checkpoint is; None where it is of this one, or nothing tells.

    Raises:
        CheckpointError: its manifest is missing or damaged.
    """
    found = read_manifest(folder).run_id
    return None if run_id is None or found == run_id else found


def whole_steps(run_folder: Path, run_id: str) -> dict[int, Manifest]:
    """Return the checkpoints of a run that look whole: their manifests, by step.

    Their files are there, with their sizes; they are not read.
    """
    found = {}
    for step in steps_in(run_folder):
        folder = checkpoint_of(run_folder, step)
        try:
            manifest = read_manifest(folder)
            verify_sizes(folder, manifest)
        except CheckpointError:
            continue
        if manifest.run_id == run_id and manifest.step == step:
            found[step] = manifest
    return found


def put_in_place(run_folder: Path, step: int, *, run_id: str) -> Path:
    """Return the folder of a checkpoint, after all of it is on the disk under its name.

    One of the same run that stands there is replaced; one of another run is set aside.

    Raises:
        OSError: it cannot be made to last, or be renamed.
    """
    staged, folder = staged_of(run_folder, step), checkpoint_of(run_folder, step)
    sync_tree(staged)
    if folder.exists() and not _is_of(folder, run_id):
        folder.rename(free_name(run_folder, f"other-{folder.name}"))
    put_folder(staged, folder)
    with suppress(OSError):  # an empty folder does no harm
        staged.parent.rmdir()
    return folder


def remove_checkpoint(run_folder: Path, step: int) -> None:
    """Take a checkpoint away.

    Raises:
        OSError: it cannot be renamed.
    """
    (run_folder / REMOVED).mkdir(exist_ok=True)
    gone = run_folder / REMOVED / f"checkpoint-{step}"
    shutil.rmtree(gone, ignore_errors=True)
    checkpoint_of(run_folder, step).rename(gone)
    sync_names(run_folder)
    shutil.rmtree(run_folder / REMOVED, ignore_errors=True)


def sweep(run_folder: Path) -> None:
    """Take away what a process that died left of a save or a deletion."""
    for step in steps_in(run_folder):
        bring_back(checkpoint_of(run_folder, step))
    for name in (PARTIAL, REMOVED):
        shutil.rmtree(run_folder / name, ignore_errors=True)


def _is_of(folder: Path, run_id: str) -> bool:
    try:
        return read_manifest(folder).run_id == run_id
    except CheckpointError:
        return False


def _is_foreign(folder: Path, run_id: str | None) -> bool:
    try:
        return other_run(folder, run_id) is not None
    except CheckpointError:
        return False


def free_name(run_folder: Path, name: str) -> Path:
    """Return a path that is not there: the name with the first number that is free."""
    number = 1
    while (path := run_folder / f"{name}.{number}").exists():
        number += 1
    return path
