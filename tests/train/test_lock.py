from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures_data import SHORT_RUN
from flipbook.apps import train
from flipbook.cli import main
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import ArgumentError
from flipbook.train.arguments import Arguments
from flipbook.train.lock import only_run_in
from flipbook.train.run import RunResult

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
def test_the_folder_is_held_until_the_model_is_scored(
    fast_vlm_folder: Path,
    generated: GeneratedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored: list[Path] = []

    def score(_: Arguments, result: RunResult, *__: object, **___: object) -> None:
        with pytest.raises(ArgumentError, match="at work there"), only_run_in(result.run_folder):
            pass
        scored.append(result.model_folder)

    monkeypatch.setattr(train, "_claim", score)
    flags = SHORT_RUN | {
        "model_name_or_path": fast_vlm_folder,
        "data_path": generated.train,
        "validation_data_path": generated.validation,
        "output_dir": tmp_path / "run",
        "max_steps": 1,
    }
    assert main(["train", *(f"--{name}={value}" for name, value in flags.items())]) == 0
    assert scored == [tmp_path / "run" / "model"]


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
