"""What is left of a run that ended before its time, and how does it go on?

run folder  ->  words that go with the error, the same ones whatever it was
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from flipbook.errors import CheckpointError
from flipbook.train.checkpoints.identity import read_run_id
from flipbook.train.checkpoints.manifest import read_manifest
from flipbook.train.checkpoints.places import newest_checkpoint


def note_what_is_kept(error: BaseException, run_folder: Path) -> None:
    """Let an error tell from which checkpoint its run can go on, where it does not yet."""
    words = what_is_kept(run_folder)
    if words not in getattr(error, "__notes__", ()):
        error.add_note(words)


def what_is_kept(run_folder: Path) -> str:
    """Return in words from which checkpoint a run that ended before its time can go on, and how."""
    newest = _newest(run_folder)
    if newest is None:
        return f"{run_folder} holds no checkpoint yet, so it begins anew."
    if not can_go_on(run_folder):
        return (
            f"Kept is the model of {newest}, and --save_only_model keeps nothing that a run could "
            "go on from. Tune that model anew, or leave the flag out."
        )
    return (
        f"Kept is {newest}, with all that was learned up to that step. To go on from there:\n"
        f"  {command_to_go_on(run_folder)}"
    )


def can_go_on(run_folder: Path) -> bool:
    """Return whether there is a checkpoint with all that a run needs; verified as it is taken."""
    newest = _newest(run_folder)
    try:
        return newest is not None and read_manifest(newest).can_go_on
    except CheckpointError:
        return True  # an older one may be whole


def command_to_go_on(run_folder: Path) -> str:
    """Return the words that let a stopped run go on."""
    width = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    program = "flipbook" if width == 1 else f"torchrun --nproc_per_node {width} -m flipbook"
    config = shlex.quote(str(run_folder / "config.yaml"))
    return f"{program} train {config} --resume_from_checkpoint latest"


def _newest(run_folder: Path) -> Path | None:
    """Return the newest checkpoint of the run whose folder it is."""
    try:
        run_id = read_run_id(run_folder)
    except CheckpointError:
        run_id = None
    return newest_checkpoint(run_folder, run_id)
