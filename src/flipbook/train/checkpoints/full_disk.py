"""What does a user need to know when a disk or a folder refuses a save?

error of a write, where, how much was needed  ->  StorageError in words
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from flipbook.errors import CheckpointError, StorageError

_TORCH_WRITER = "PytorchStreamWriter"  # in what torch says where it cannot write


def storage_error(
    error: Exception, *, what: str, run_folder: Path, needed_bytes: int
) -> StorageError:
    """Return the error in words.

    Args:
        error: what was raised.
        what: could not be written, as "checkpoint-4".
        run_folder: where.
        needed_bytes: about how many it has.
    """
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return StorageError(
        f"{what} could not be written in {run_folder} ({reason}). It needs about "
        f"{_in_words(needed_bytes)}{_free(run_folder)}; nothing of it was left there. Make room "
        "or make the folder writable, then let the run go on."
    )


@contextmanager
def refused_writes(errors: list[Exception]) -> Iterator[None]:
    """Note what says that something could not be written; all else is raised."""
    try:
        yield
    except (OSError, SafetensorError, CheckpointError) as error:
        errors.append(error)
    except RuntimeError as error:
        if _TORCH_WRITER not in str(error):
            raise
        errors.append(error)


def _free(folder: Path) -> str:
    try:
        return f", {_in_words(shutil.disk_usage(folder).free)} are free there"
    except OSError:
        return ""


def _in_words(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
