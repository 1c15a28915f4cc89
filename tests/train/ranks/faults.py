"""A command line of flipbook in which one process goes wrong at one place, as the tests ask.

    FAULT_RANK=1 FAULT_READ=3 FAULT=hang  python faults.py train --data_path ...

raise: a clip that this process reads is broken. die: it is killed. hang: it sleeps for ever while
it reads a record. stop: it is stopped from outside. slow: it reads one record slowly.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from flipbook import cli
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.errors import MediaError

FAULT = os.environ.get("FAULT", "")
SLOW_S = 6.0


def go_wrong(record_id: str) -> None:
    if FAULT == "raise":
        raise MediaError("broken.mp4", f"cannot be read (it is that of {record_id})")
    if FAULT == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if FAULT == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if FAULT == "hang":
        time.sleep(3600)
    if FAULT == "slow":
        time.sleep(SLOW_S)


def main() -> int:
    real = LazySupervisedDataset.__getitem__
    reads = [0]

    def read(self: Any, index: Any) -> Any:
        reads[0] += 1
        is_here = os.environ.get("RANK") == os.environ.get("FAULT_RANK")
        if is_here and reads[0] == int(os.environ.get("FAULT_READ", "1")):
            go_wrong(self._names(index)[0])
        return real(self, index)

    LazySupervisedDataset.__getitem__ = read  # type: ignore[method-assign]
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
