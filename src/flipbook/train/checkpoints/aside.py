"""What becomes of the checkpoints that a run which goes back leaves behind?

    it goes on from checkpoint-2    RUN/checkpoint-4  ->  RUN/set-aside.1/checkpoint-4
                                    RUN/checkpoint-6  ->  RUN/set-aside.1/checkpoint-6

They are of steps that will be taken anew, so `latest` must not find them beside those of the new
ones. No rotation deletes them.
"""

from __future__ import annotations

from pathlib import Path

from flipbook.data.written import sync_names
from flipbook.errors import ArgumentError, StorageError
from flipbook.train.checkpoints.places import checkpoint_of, free_name, own_steps

ASIDE = "set-aside"


def later_steps(run_folder: Path, step: int, *, run_id: str) -> list[int]:
    """Return the steps of the checkpoints that a run leaves behind, the first step first.

    Args:
        run_folder: where it goes on.
        step: from which it does.
        run_id: its own; what another run left there is passed over anyway.
    """
    return [found for found in own_steps(run_folder, run_id) if found > step]


def place_aside(run_folder: Path) -> Path:
    """Return the folder that would take the next checkpoints that are left behind."""
    return free_name(run_folder, ASIDE)


def set_aside_later(run_folder: Path, step: int, *, run_id: str) -> None:
    """Move what a run leaves behind out of the way of what it will write.

    The last step goes first. So a run that is killed on the way finds an older one as the newest,
    with all that came before it.

    Raises:
        StorageError: the folder refuses it; none is lost.
    """
    later = later_steps(run_folder, step, run_id=run_id)
    if not later:
        return
    place = place_aside(run_folder)
    try:
        place.mkdir()
        for found in reversed(later):
            folder = checkpoint_of(run_folder, found)
            folder.rename(place / folder.name)
            sync_names(place)
            sync_names(run_folder)
    except OSError as error:
        raise StorageError(
            f"{run_folder}: its checkpoints of later steps cannot be moved to {place} "
            f"({error.strerror}). No step was taken, and none of them is lost. Make the folder "
            "writable, or give another --output_dir."
        ) from error


def told_of_later(run_folder: Path, step: int, *, run_id: str) -> str | None:
    """Return what is told of the checkpoints that a run leaves behind; None without any."""
    later = later_steps(run_folder, step, run_id=run_id)
    if not later:
        return None
    names = ", ".join(checkpoint_of(run_folder, found).name for found in later)
    place = place_aside(run_folder)
    return (
        f"The run goes back to step {step}. Before its next step, its checkpoints of later steps "
        f"({names}) are set aside in {place}, where they stay until you delete them. To go on from "
        f"one of them: --resume_from_checkpoint {place}/{checkpoint_of(run_folder, later[-1]).name}"
        " and another --output_dir."
    )


def refuse_set_aside(folder: Path, run_folder: Path) -> None:
    """Check that a checkpoint does not come back between those that took its place.

    Raises:
        ArgumentError: it was set aside in the run folder itself.
    """
    place = folder.resolve().parent
    if place.parent == run_folder.resolve() and place.name.startswith(f"{ASIDE}."):
        raise ArgumentError(
            f"--resume_from_checkpoint {folder}: was set aside when its run went back, and "
            f"{run_folder} has other steps in its place by now. Nothing was changed. Give another "
            "--output_dir to go on from it."
        )
