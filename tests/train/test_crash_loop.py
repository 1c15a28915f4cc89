from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fixtures_data import SHORT_RUN, Tune
from fixtures_kills import SYSTEM_CALLS, can_trace, dies_at, dies_at_call
from flipbook.data.generated.write import GeneratedData
from flipbook.train import run
from flipbook.train.checkpoints.choosing import newest_whole
from flipbook.train.checkpoints.identity import read_run_id
from flipbook.train.checkpoints.manifest import verify
from flipbook.train.run import RunResult
from flipbook.train.trainer import FlipbookTrainer

SETTINGS: dict[str, Any] = {
    "frame_sampler": "segments",
    "max_steps": 4,
    "save_strategy": "steps",
    "save_steps": 2,
    "logging_steps": 3,
    "save_total_limit": 1,
}
Save = Callable[[], None]

pytestmark = [pytest.mark.slow, pytest.mark.guarantee(1)]


def _lines(run_folder: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def _same(one: RunResult, other: RunResult) -> bool:
    left, right = _weights(one.run_folder), _weights(other.run_folder)
    equal = left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)
    return equal and _lines(one.run_folder) == _lines(other.run_folder)


def _at_second_save(
    patch: pytest.MonkeyPatch, folder: Path, each: Callable[[Any, Save, Path], object]
) -> None:
    """Before the save of step 4, let `each` have trainer, what saves, and a place for copies."""
    real = FlipbookTrainer._save_checkpoint

    def save(self: Any, model: Any, trial: Any) -> None:
        if self.state.global_step == 4:
            each(self, lambda: real(self, model, trial), folder)
        real(self, model, trial)

    patch.setattr(FlipbookTrainer, "_save_checkpoint", save)


def _in_copy(trainer: Any, copy: Path, dies: Callable[[], bool]) -> bool:
    own = trainer.args.output_dir
    shutil.copytree(own, copy)
    trainer.args.output_dir = str(copy)
    died = dies()
    trainer.args.output_dir = own
    return died


@pytest.mark.guarantee(2)
def test_after_a_kill_at_every_file_event_the_run_is_the_straight_one(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_everywhere(trainer: Any, save: Save, folder: Path) -> None:
        event = 1
        while _in_copy(trainer, folder / f"killed-{event}", lambda: dies_at(event, save)):  # noqa: B023
            event += 1

    with monkeypatch.context() as patch:
        _at_second_save(patch, tmp_path, kill_everywhere)
        straight = tune(tmp_path / "straight", **SETTINGS)
    killed, failed = sorted(tmp_path.glob("killed-*")), {}
    for folder in killed:
        try:
            resumed = tune(folder, resume_from_checkpoint="latest", **SETTINGS)
        except Exception as error:  # noqa: BLE001  (all of them are counted)
            failed[folder.name] = f"{type(error).__name__}: {error}"[:150]
            continue
        if not _same(resumed, straight):
            failed[folder.name] = f"other losses or weights: {_lines(folder)}"
        shutil.rmtree(folder)
    assert len(killed) > 30
    assert not failed, f"{len(failed)} of {len(killed)}: {failed}"


@pytest.mark.guarantee(3)
def test_a_kill_at_every_system_call_leaves_a_whole_checkpoint(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_trace():
        pytest.skip("strace is not here, or may not trace")
    monkeypatch.setattr("transformers.utils.logging._tqdm_active", False)  # it has a thread
    steps: dict[str, list[int]] = {}
    kept: list[Path] = []

    def kill_at_calls(trainer: Any, save: Save, folder: Path) -> None:
        for call in SYSTEM_CALLS:
            number, died = 1, True
            while died:
                copy = folder / f"{call}-{number}"
                died = _in_copy(trainer, copy, lambda: dies_at_call(call, number, save))  # noqa: B023
                chosen = newest_whole(copy, run_id=read_run_id(copy), tell=pytest.fail)
                assert chosen is not None, copy
                steps.setdefault(call, []).append(chosen.manifest.step)
                if died and number % 20 == 1 and len(kept) < 8:
                    kept.append(copy)
                else:
                    shutil.rmtree(copy)
                number += 1

    with monkeypatch.context() as patch:
        _at_second_save(patch, tmp_path, kill_at_calls)
        straight = tune(tmp_path / "straight", **SETTINGS)
    assert all(found == sorted(found) and found[-1] == 4 for found in steps.values()), steps
    assert sum(map(len, steps.values())) > 100, {call: len(found) for call, found in steps.items()}
    for folder in kept:
        assert _same(tune(folder, resume_from_checkpoint="latest", **SETTINGS), straight), folder


@pytest.mark.parametrize("lora_r", [0, 2])
def test_a_kill_while_the_model_is_written_leaves_a_run_that_writes_it(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lora_r: int
) -> None:
    real, flags = run.save_run, SETTINGS | {"lora_r": lora_r}
    killed: list[Path] = []

    def save(trainer: Any, *args: Any, run_folder: Path, **kwargs: Any) -> Path:
        event, died = 1, True
        while died:
            copy = tmp_path / f"killed-{len(killed)}"
            shutil.copytree(run_folder, copy)

            def write(copy: Path = copy) -> None:
                real(trainer, *args, run_folder=copy, **kwargs)

            died = dies_at(event, write)
            killed.append(copy)
            event += 1
        return real(trainer, *args, run_folder=run_folder, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(run, "save_run", save)
        straight = tune(tmp_path / "straight", **flags)
    wanted = _weights(straight.run_folder)
    for folder in killed:
        if (folder / "model").exists():  # under its name there is a whole one, or none
            found = _weights(folder)
            assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    for folder in (killed[0], killed[len(killed) // 2], killed[-2]):
        resumed = tune(folder, resume_from_checkpoint="latest", **flags)
        assert _same(resumed, straight)
        assert not list(folder.glob(".*partial"))


def test_two_processes_write_one_checkpoint_and_go_on_from_it(
    tmp_path: Path, fast_vlm_folder: Path, generated: GeneratedData
) -> None:
    flags = SHORT_RUN | {
        "model_name_or_path": fast_vlm_folder,
        "data_path": generated.train,
        "output_dir": tmp_path / "run",
        "per_device_train_batch_size": 2,
        "frame_sampler": "segments",
        "max_steps": 4,
        "save_strategy": "steps",
        "save_steps": 2,
        "logging_steps": 3,
        "report_num_questions": 0,
        "ddp_backend": "gloo",
    }
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    words = [*launch, "-m", "flipbook", "train", *(f"--{name}={v}" for name, v in flags.items())]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "run"
    manifest = verify(folder / "checkpoint-2")
    assert manifest.num_processes == 2
    assert {"process-0.json", "process-1.json"} <= manifest.files.keys()
    wanted, lines = _weights(folder), _lines(folder)
    (folder / "checkpoint-4" / "process-1.safetensors").write_bytes(b"")
    shutil.rmtree(folder / "model")
    again = [*words, "--resume_from_checkpoint=latest"]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "checkpoint-4 is passed over" in done.stdout
    assert done.stdout.count("is passed over") == 1  # it is told by one of them
    found = _weights(folder)
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert _lines(folder) == lines
