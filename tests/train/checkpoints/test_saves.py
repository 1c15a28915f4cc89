from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fixtures_data import Tune
from fixtures_kills import dies_at
from fixtures_limits import largest_file
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import CheckpointError, StorageError
from flipbook.train.checkpoints.choosing import newest_whole
from flipbook.train.checkpoints.identity import read_run_id
from flipbook.train.checkpoints.manifest import verify
from flipbook.train.run import RunResult
from flipbook.train.trainer import FlipbookTrainer

SETTINGS: dict[str, Any] = {
    "frame_sampler": "segments",
    "max_steps": 5,
    "save_strategy": "steps",
    "save_steps": 2,
    "logging_steps": 3,  # so that a save falls between two lines of the log
    "save_total_limit": 2,
}


def _lines(run_folder: Path) -> list[tuple[int, float]]:
    rows = [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"]) for row in rows if "loss" in row]


def _weights(result: RunResult) -> dict[str, torch.Tensor]:
    return load_file(result.model_folder / "model.safetensors")


def _same(one: RunResult, other: RunResult) -> bool:
    left, right = _weights(one), _weights(other)
    equal = left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)
    return equal and _lines(one.run_folder) == _lines(other.run_folder)


def _at_save(
    monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[Any, Callable[[], None]], None]
) -> None:
    """Let `act` do the save of a step: it is given the trainer, and what would save."""
    real = FlipbookTrainer._save_checkpoint

    def save(self: Any, model: Any, trial: Any) -> None:
        if self.state.global_step == step:
            act(self, lambda: real(self, model, trial))
        else:
            real(self, model, trial)

    monkeypatch.setattr(FlipbookTrainer, "_save_checkpoint", save)


def _kills(folder: Path, kept: Callable[[int], bool]) -> Callable[[Any, Callable[[], None]], None]:
    """Return a save that dies once at each of its file events, in copies of the run folder."""

    def act(trainer: Any, save: Callable[[], None]) -> None:
        event, own = 1, trainer.args.output_dir
        while True:
            copy = folder / f"killed-{event}"
            shutil.copytree(own, copy)
            trainer.args.output_dir = str(copy)
            died = dies_at(event, save)
            trainer.args.output_dir = own
            if not kept(event):
                shutil.rmtree(copy)
            if not died:
                break
            event += 1
        save()

    return act


def test_a_checkpoint_holds_no_pickle_and_nothing_is_left_beside_it(tune: Tune) -> None:
    result = tune(**SETTINGS | {"lora_r": 2})
    assert {path.name for path in result.run_folder.iterdir()} >= {"run.json", "log.jsonl"}
    assert not [p for p in result.run_folder.rglob("*") if p.suffix in (".pt", ".pth", ".bin")]
    assert not list(result.run_folder.glob(".*partial"))
    manifest = verify(result.run_folder / "checkpoint-4")
    assert manifest.run_id == read_run_id(result.run_folder)
    assert {"base.json", "flipbook.json", "optimizer.safetensors"} <= manifest.files.keys()
    assert sorted(p.name for p in result.run_folder.glob("checkpoint-*")) == [
        "checkpoint-4",
        "checkpoint-5",
    ]


@pytest.mark.guarantee(1)
@pytest.mark.guarantee(2)
def test_a_save_that_is_killed_at_any_file_event_loses_only_itself(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _at_save(patch, 4, _kills(tmp_path, lambda event: True))
        straight = tune(tmp_path / "straight", **SETTINGS)
    killed = sorted(tmp_path.glob("killed-*"), key=lambda path: int(path.name[7:]))
    assert len(killed) > 30
    steps = []
    for folder in killed:
        chosen = newest_whole(folder, run_id=read_run_id(folder), tell=pytest.fail)
        assert chosen is not None
        steps.append(chosen.manifest.step)
    assert steps == sorted(steps)
    assert set(steps) == {2, 4}
    folder = killed[steps.index(4) - 1]  # all of it was written, and had not its name yet
    resumed = tune(folder, resume_from_checkpoint="latest", **SETTINGS)
    assert _same(resumed, straight)
    assert not list(folder.glob(".partial"))


@pytest.mark.guarantee(3)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    tune: Tune, tmp_path: Path
) -> None:
    straight = tune(tmp_path / "straight", **SETTINGS)
    whole = verify(straight.run_folder / "checkpoint-5")
    for name in (*whole.files, "manifest.json"):
        path = straight.run_folder / "checkpoint-5" / name
        content = path.read_bytes()
        for damaged in (None, content[: len(content) // 2], _flipped(content)):
            path.unlink(missing_ok=True)
            if damaged is not None:
                path.write_bytes(damaged)
            told: list[str] = []
            chosen = newest_whole(
                straight.run_folder, run_id=read_run_id(straight.run_folder), tell=told.append
            )
            assert chosen is not None
            assert chosen.manifest.step == 4
            assert "checkpoint-5 is passed over" in told[0]
            assert name in told[0]
        path.write_bytes(content)
    (straight.run_folder / "checkpoint-5" / "optimizer.safetensors").write_bytes(b"")
    before = _weights(straight)
    lines = _lines(straight.run_folder)
    resumed = tune(tmp_path / "straight", resume_from_checkpoint="latest", **SETTINGS)
    after = _weights(resumed)
    assert all(torch.equal(before[n], after[n]) for n in before)
    assert _lines(resumed.run_folder) == lines
    assert verify(straight.run_folder / "checkpoint-5").step == 5


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.guarantee(7)
def test_nothing_of_a_checkpoint_is_unpickled(tune: Tune, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, Any]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    result = tune(**SETTINGS | {"max_steps": 2})
    folder = result.run_folder / "checkpoint-2"
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
        torch.save(Bomb(), folder / name)
        with pytest.raises(CheckpointError, match=f"{name} was put there after"):
            tune(resume_from_checkpoint="latest", **SETTINGS)
        (folder / "manifest.json").rename(tmp_path / "manifest.json")
        with pytest.raises(CheckpointError, match="unpickling can run any code"):
            tune(resume_from_checkpoint=folder, **SETTINGS)
        (tmp_path / "manifest.json").rename(folder / "manifest.json")
        (folder / name).unlink()
    assert not (tmp_path / "exploded").exists()


@pytest.mark.slow
@pytest.mark.guarantee(1)
def test_a_run_that_ended_before_its_model_was_written_only_writes_it(
    tune: Tune, tmp_path: Path
) -> None:
    straight = tune(tmp_path / "straight", **SETTINGS)
    before = _weights(straight)
    lines = _lines(straight.run_folder)
    shutil.rmtree(straight.model_folder)
    (straight.run_folder / ".model.partial").mkdir()
    resumed = tune(tmp_path / "straight", resume_from_checkpoint="latest", **SETTINGS)
    after = _weights(resumed)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert _lines(resumed.run_folder) == lines
    assert not (straight.run_folder / ".model.partial").exists()


@pytest.mark.slow
@pytest.mark.guarantee(3)
def test_the_best_checkpoint_must_be_whole_too(
    tune: Tune, tmp_path: Path, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = SETTINGS | {
        "max_steps": 2,
        "save_steps": 1,
        "validation_data_path": generated.validation,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": True,
        "learning_rate": 1e-2,  # by which the loss falls, so the first one stays the "best"
    }
    result = tune(tmp_path / "run", **flags)
    state = json.loads((result.run_folder / "checkpoint-2" / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == str(result.run_folder / "checkpoint-1")
    best = load_file(result.run_folder / "checkpoint-1" / "model.safetensors")
    assert all(torch.equal(best[name], tensor) for name, tensor in _weights(result).items())

    def damage(trainer: Any, save: Callable[[], None]) -> None:
        save()
        path = Path(trainer.args.output_dir) / "checkpoint-1" / "model.safetensors"
        path.write_bytes(_flipped(path.read_bytes()))

    with monkeypatch.context() as patch:
        _at_save(patch, 2, damage)
        with pytest.raises(CheckpointError, match="model.safetensors is not what was written"):
            tune(tmp_path / "other", **flags)
    (tmp_path / "moved").mkdir()
    (result.run_folder / "checkpoint-2").rename(tmp_path / "moved" / "checkpoint-2")
    shutil.rmtree(result.run_folder)
    with pytest.raises(CheckpointError, match="was the best so far"):
        tune(tmp_path / "moved", resume_from_checkpoint="latest", **flags)


@pytest.mark.guarantee(1)
@pytest.mark.parametrize(
    "largest",
    [
        0,
        pytest.param(3_000, marks=pytest.mark.slow),
        pytest.param(500_000, marks=pytest.mark.slow),
    ],
)
def test_a_save_that_is_refused_leaves_the_one_before(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    def act(trainer: Any, save: Callable[[], None]) -> None:
        with largest_file(largest):
            save()

    with monkeypatch.context() as patch:
        _at_save(patch, 4, act)
        told = (
            r"checkpoint-4 could not be written in .*\(.*File too large.*\)\. It needs about "
            r"1\.. MB, .* are free there; nothing of it was left there\.(?s:.*)Kept is "
            r".*checkpoint-2, (?s:.*)--resume_from_checkpoint latest"
        )
        with pytest.raises(StorageError, match=told):
            tune(tmp_path / "full", **SETTINGS)
    assert not (tmp_path / "full" / ".partial").exists()
    if largest == 3_000:
        straight = tune(tmp_path / "straight", **SETTINGS)
        resumed = tune(tmp_path / "full", resume_from_checkpoint="latest", **SETTINGS)
        assert _same(resumed, straight)


@contextmanager
def _mounted(place: Path, *words: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *words, str(place)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("nothing may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.slow
@pytest.mark.guarantee(1)
@pytest.mark.skipif(shutil.which("mount") is None, reason="this system mounts nothing")
def test_a_full_disk_ends_a_run_that_goes_on_when_there_is_room(tune: Tune, tmp_path: Path) -> None:
    flags = SETTINGS | {"resume_from_checkpoint": "latest"}
    run = tmp_path / "small"
    with _mounted(run, "-t", "tmpfs", "-o", "size=1m", "none"):
        with pytest.raises(StorageError, match="No space left(?s:.*)holds no checkpoint yet"):
            tune(run, **flags)
        subprocess.run(["mount", "-o", "remount,size=3m", str(run)], check=True)
        with pytest.raises(StorageError, match="No space left(?s:.*)Kept is .*checkpoint-2,"):
            tune(run, **flags)
        assert {p.name for p in run.iterdir()} >= {"checkpoint-2", "log.jsonl"}
        assert not (run / ".partial").exists()
        subprocess.run(["mount", "-o", "remount,size=64m", str(run)], check=True)
        resumed = tune(run, **flags)
        assert _same(resumed, tune(tmp_path / "straight", **SETTINGS))


@pytest.mark.slow
@pytest.mark.guarantee(1)
@pytest.mark.skipif(shutil.which("mount") is None, reason="this system mounts nothing")
def test_a_folder_that_becomes_read_only_ends_a_run_that_can_go_on(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(trainer: Any, save: Callable[[], None]) -> None:
        run = Path(trainer.args.output_dir)
        with _mounted(run, "--bind", str(run)):
            subprocess.run(["mount", "-o", "remount,bind,ro", str(run)], check=True)
            trainer.log({"loss": 0.0})  # which is told, and no reason to end
            save()

    with monkeypatch.context() as patch:
        _at_save(patch, 4, act)
        with pytest.raises(
            StorageError, match="Read-only file system(?s:.*)Kept is .*checkpoint-2,"
        ):
            tune(tmp_path / "run", **SETTINGS)
    resumed = tune(tmp_path / "run", resume_from_checkpoint="latest", **SETTINGS)
    assert verify(resumed.run_folder / "checkpoint-5").step == 5
