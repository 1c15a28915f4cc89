"""Is another run at work in this folder?

    run folder  ->  RUN/.lock, held while the run lasts    or a refusal that names who holds it

The lock is the system's (`flock`): it is gone when its process is, however that ended, so nobody
ever has to take a stale one away. Who holds it is told in RUN/.lock.json, for people only.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from flipbook.data.written import write_json_whole
from flipbook.errors import ArgumentError

LOCK_FILE = ".lock"
HOLDER_FILE = ".lock.json"


@contextmanager
def only_run_in(run_folder: Path) -> Iterator[None]:
    """Hold a run folder for this process.

    Raises:
        ArgumentError: another run holds it.
        OSError: nothing can be written there.
    """
    lock = FileLock(run_folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ArgumentError(
            f"--output_dir {run_folder}: another run is at work there{_holder(run_folder)}. "
            "Nothing was changed. Wait for it or stop it, or give another --output_dir."
        ) from error
    try:
        began = time.strftime("%Y-%m-%d %H:%M:%S %Z")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "began": began}
        write_json_whole(run_folder / HOLDER_FILE, holder)
        yield
    finally:
        with suppress(OSError):  # the folder may have become read-only, which is told elsewhere
            (run_folder / HOLDER_FILE).unlink(missing_ok=True)
        lock.release()


def _holder(run_folder: Path) -> str:
    try:
        told = json.loads((run_folder / HOLDER_FILE).read_text(encoding="utf-8"))
        return f" (process {told['pid']} on {told['host']}, since {told['began']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
