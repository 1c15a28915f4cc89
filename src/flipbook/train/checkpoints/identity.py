"""Which run is this folder's?

a run that begins  ->  RUN/run.json with a fresh id, which each of its checkpoints repeats
"""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime
from pathlib import Path

from flipbook.data.written import write_json_whole
from flipbook.errors import CheckpointError

RUN_FILE = "run.json"


def new_run_id() -> str:
    """Return an id that no other run has."""
    return uuid.uuid4().hex


def write_run_id(run_folder: Path, run_id: str) -> None:
    """Write down which run a folder is of.

    Raises:
        OSError: it cannot be written.
    """
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    write_json_whole(run_folder / RUN_FILE, {"run_id": run_id, "began": began})


def read_run_id(run_folder: Path) -> str | None:
    """Return which run a folder is of; None where nothing tells.

    Raises:
        CheckpointError: the file that tells is damaged.
    """
    path = run_folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["run_id"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error}), so nothing tells which checkpoints are this "
            "run's. If all of those in the folder are, remove the file and continue the run."
        ) from error


def read_began_s(run_folder: Path) -> float | None:
    """Return when a run began, in seconds of the system's clock; None where nothing tells."""
    try:
        found = json.loads((run_folder / RUN_FILE).read_text(encoding="utf-8"))["began"]
        return datetime.fromisoformat(found).timestamp()
    except (OSError, ValueError, KeyError, TypeError):
        return None
