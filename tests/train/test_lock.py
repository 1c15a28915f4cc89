from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flipbook.errors import ArgumentError
from flipbook.train.lock import only_run_in

HOLD = """
import os, sys, time
from pathlib import Path
from flipbook.train.lock import only_run_in
with only_run_in(Path(sys.argv[1])):
    if os.fork() == 0:  # as a worker that outlives its run does
        print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.guarantee(9)
def test_one_run_at_a_time(tmp_path: Path) -> None:
    with only_run_in(tmp_path):
        told = rf"another run is at work there \(process {os.getpid()} on .+, since .+\)"
        with pytest.raises(ArgumentError, match=told), only_run_in(tmp_path):
            pass
    with only_run_in(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


@pytest.mark.guarantee(9)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_the_lock_dies_with_its_process_though_its_workers_live(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ArgumentError, match=f"process {holder.pid} on"), only_run_in(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with only_run_in(tmp_path):  # its child is there, and does not hold it
            os.killpg(holder.pid, 0)
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
        holder.stdout.close()
