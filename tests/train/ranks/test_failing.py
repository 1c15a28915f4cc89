"""One of two processes that fails, dies, hangs or is slow: what becomes of the job?"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures_data import SHORT_RUN, Tune
from flipbook.data.generated.write import GeneratedData

GUARD_S = 280  # against a hang
WAITS_S = 20  # of one process for another
DRIVER = Path(__file__).with_name("faults.py")


class Job:
    """Two processes that train together on CPUs."""

    def __init__(self, model: Path, data: GeneratedData, folder: Path) -> None:
        self.folder = folder / "run"
        self.settings: dict[str, Any] = SHORT_RUN | {
            "model_name_or_path": model,
            "data_path": data.train,
            "output_dir": self.folder,
            "per_device_train_batch_size": 1,
            "questions_per_pass": 1,
            "max_steps": 3,
            "report_num_questions": 0,
            "ddp_timeout": WAITS_S,
        }

    def run(self, fault: str, *, rank: int = 1, read: int = 3, **flags: object) -> tuple[int, str]:
        words = [f"--{name}={value}" for name, value in (self.settings | flags).items()]
        command = [
            sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone",
            str(DRIVER), "train", *words,
        ]  # fmt: skip
        faults = {"FAULT": fault, "FAULT_RANK": str(rank), "FAULT_READ": str(read)}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | faults,
            timeout=GUARD_S,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def last_of(self, rank: int) -> dict[str, Any]:
        """Return where a process was seen last."""
        path = self.folder / "ranks" / f"rank-{rank}.json"
        seen: dict[str, Any] = json.loads(path.read_text())
        return seen


@pytest.fixture
def job(fast_vlm_folder: Path, generated: GeneratedData, tmp_path: Path) -> Job:
    return Job(fast_vlm_folder, generated, tmp_path)


@pytest.mark.slow
@pytest.mark.guarantee(8)
def test_a_process_that_raises_tells_and_leaves(job: Job) -> None:
    code, told = job.run("raise")
    assert code != 0
    assert "flipbook (rank 1): broken.mp4: cannot be read" in told
    assert "Root Cause (first observed failure)" in told and re.search(r"rank +: 1 ", told)


@pytest.mark.slow
@pytest.mark.guarantee(8)
@pytest.mark.parametrize("fault", ["die", "hang", "stop"])
def test_a_process_that_is_gone_or_hangs_is_told_by_the_other(job: Job, fault: str) -> None:
    code, told = job.run(fault, save_strategy="steps", save_steps=1)
    assert code != 0
    seen = job.last_of(1)
    assert seen["phase"] == "reading" and seen["step"] == 1 and seen["reads"]
    assert "flipbook (rank 0): Another process of this run left, or gave no answer" in told
    assert "Process 1 was seen" in told and "reading after step 1" in told
    assert f"it was reading record {seen['reads']}" in told
    # A process that hangs may tell of itself, too, before it is ended.
    own = told.split("flipbook (rank 0): ")[1].split("flipbook (rank 1): ")[0]
    assert own.count(f"Kept is {job.folder / 'checkpoint-1'}, ") == 1


@pytest.mark.slow
@pytest.mark.guarantee(8)
def test_a_process_that_is_only_slow_is_waited_for(job: Job) -> None:
    code, told = job.run("slow")
    assert code == 0, told[-3000:]
    assert (job.folder / "model").is_dir()


@pytest.mark.slow
@pytest.mark.guarantee(8)
def test_a_process_that_has_only_text_learns_with_the_other(
    job: Job, tune: Tune, generated: GeneratedData, tmp_path: Path
) -> None:
    """Each step has a clip for one and a text for the other, and is that of one process."""
    clip = next(row for row in json.loads(generated.train.read_text()) if "video" in row)
    turns = [
        {"from": "human", "value": "What is red and blue?"},
        {"from": "gpt", "value": "Purple."},
    ]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([clip, {"id": "text", "conversations": turns}]))
    flags: dict[str, Any] = {
        "data_path": path,
        "image_folder": generated.folder,
        "max_steps": 2,
    }
    code, told = job.run("", **flags | {"logging_first_step": True})
    assert code == 0, told[-3000:]
    one = tune(
        tmp_path / "one",
        **flags,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        questions_per_pass=1,
    )
    assert losses(job.folder) == pytest.approx(losses(one.run_folder), rel=1e-5)


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]
