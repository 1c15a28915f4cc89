"""May a run be written into this folder, and from where does it go on?

--output_dir, --resume_from_checkpoint -> the checkpoint to go on from, or nothing, or a refusal
"""

from __future__ import annotations

from pathlib import Path

from transformers.trainer_utils import get_last_checkpoint

from flipbook.errors import ArgumentError, StorageError
from flipbook.model.folders import ADAPTER_IN_RUN, MODEL_IN_RUN

RESUME_WORDS = ("true", "latest", "auto")


def resume_from(run_folder: Path, asked: str | None) -> str | None:
    """Return the checkpoint to go on from; None for a run that begins.

    Raises:
        ArgumentError: the folder holds another run, or there is no such checkpoint.
    """
    taken = run_folder.is_dir() and (
        (run_folder / MODEL_IN_RUN).exists()
        or (run_folder / ADAPTER_IN_RUN).exists()
        or _newest_checkpoint(run_folder) is not None
    )
    if asked is None or asked.lower() == "false":
        if taken:
            raise ArgumentError(
                f"{run_folder} already holds a run. Continue it with --resume_from_checkpoint "
                "latest, or give another --output_dir."
            )
        return None
    if asked.lower() in RESUME_WORDS:
        return _newest_checkpoint(run_folder) if taken else None
    if not Path(asked).is_dir():
        raise ArgumentError(
            f"--resume_from_checkpoint {asked}: there is no such folder. Use 'latest' for the "
            f"newest one in {run_folder}."
        )
    return asked


def make_folder(run_folder: Path) -> None:
    """Make the folder of a run.

    Raises:
        StorageError: it cannot be written to.
    """
    try:
        run_folder.mkdir(parents=True, exist_ok=True)
        (run_folder / ".writable").touch()
        (run_folder / ".writable").unlink()
    except OSError as error:
        raise StorageError(
            f"--output_dir {run_folder} cannot be written to ({error.strerror}). Give another."
        ) from error


def _newest_checkpoint(run_folder: Path) -> str | None:
    newest: str | None = get_last_checkpoint(str(run_folder))  # type: ignore[no-untyped-call]
    return newest
