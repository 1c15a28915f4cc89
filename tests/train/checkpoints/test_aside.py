"""What a run that goes back leaves behind: kept, told, and never taken for what comes after."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fixtures_checkpoints import RUN, write_small_checkpoint
from fixtures_data import Tune
from flipbook.errors import ArgumentError, StoppedError, StorageError
from flipbook.train.checkpoints.aside import set_aside_later
from flipbook.train.checkpoints.identity import write_run_id
from flipbook.train.checkpoints.kept import what_is_kept
from flipbook.train.checkpoints.rotation import rotate
from flipbook.train.progress import ProgressCallback
from flipbook.train.run_folder import held


def _run(folder: Path, *steps: int) -> Path:
    folder.mkdir(exist_ok=True)
    write_run_id(folder, RUN)
    for step in steps:
        write_small_checkpoint(folder, step)
    return folder


def _start(run_folder: Path, asked: str) -> tuple[str | None, str]:
    """Return where a run would go on from, by name, and what is told."""
    told = io.StringIO()
    with held(run_folder, asked, console=Console(file=told, width=1000)) as begun:
        name = None if begun.goes_on_from is None else Path(begun.goes_on_from).name
    return name, told.getvalue()


def _checkpoints(folder: Path) -> dict[str, str]:
    """Return hashes of all checkpoints below a folder, by the names of step and file."""
    return {
        str(path.relative_to(found.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
        for found in folder.rglob("checkpoint-*")
        for path in found.rglob("*")
        if path.is_file()
    }


@pytest.mark.guarantee(1)
def test_a_run_that_went_back_goes_on_with_its_new_steps(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: dict[str, Any] = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 9}
    run = tune(max_steps=3, **flags).run_folder
    before = {name: digest for name, digest in _checkpoints(run).items() if "-1/" not in name}
    back = flags | {"resume_from_checkpoint": run / "checkpoint-1", "save_steps": 100}
    back |= {
        "label_smoothing_factor": 0.2,
        "resume_changed": True,
        "max_steps": 5,
        "output_dir": run,
    }
    with pytest.raises(ArgumentError, match="train_parts"):
        tune(**back | {"train_parts": "projector"})
    assert not list(run.glob("set-aside*"))  # a run that is refused leaves all as it was

    def stop(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ProgressCallback, "on_step_begin", stop, raising=False)
    with pytest.raises(StoppedError, match="All of it is saved in .*checkpoint-2"):
        tune(**back)
    assert _start(run, "latest") == ("checkpoint-2", "")
    assert _checkpoints(run / "set-aside.1") == before
    assert _checkpoints(run)["checkpoint-2/model.safetensors"]
    new = (run / "checkpoint-2" / "model.safetensors").read_bytes()
    assert new != (run / "set-aside.1" / "checkpoint-2" / "model.safetensors").read_bytes()


def test_it_is_told_where_they_are_and_how_to_go_on_from_them(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", 2, 4, 6)
    name, told = _start(run, str(run / "checkpoint-2"))
    assert name == "checkpoint-2"
    assert "later steps (checkpoint-4, checkpoint-6) are set aside in" in told
    assert f"--resume_from_checkpoint {run}/set-aside.1/checkpoint-6 and another --out" in told
    assert _start(run, "latest") == ("checkpoint-6", "")  # no step was taken yet
    set_aside_later(run, 2, run_id=RUN)
    assert _start(run, "latest") == ("checkpoint-2", "")
    old = run / "set-aside.1" / "checkpoint-6"
    with pytest.raises(ArgumentError, match="was set aside when its run went back"):
        _start(run, str(old))
    assert _start(tmp_path / "new", str(old)) == ("checkpoint-6", "")
    write_small_checkpoint(run, 4)
    set_aside_later(run, 2, run_id=RUN)
    assert [path.name for path in (run / "set-aside.2").iterdir()] == ["checkpoint-4"]


@pytest.mark.guarantee(1)
@pytest.mark.parametrize("num_moved", [0, 1, 2, 3])
def test_a_kill_on_the_way_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_moved: int
) -> None:
    run = _run(tmp_path, 2, 4, 6, 8)
    before = _checkpoints(run)
    rename, moved = Path.rename, []

    def killed(self: Path, target: Path) -> Path:
        if len(moved) == num_moved:
            raise KeyboardInterrupt
        moved.append(target)
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        if num_moved < 3:
            with pytest.raises(KeyboardInterrupt):
                set_aside_later(run, 2, run_id=RUN)
        else:
            set_aside_later(run, 2, run_id=RUN)
    assert _checkpoints(run) == before
    assert _start(run, "latest")[0] == f"checkpoint-{8 - 2 * num_moved}"


@pytest.mark.guarantee(3)
def test_no_rotation_deletes_them_and_other_runs_stay(tmp_path: Path) -> None:
    run = _run(tmp_path, 2, 4, 6)
    write_small_checkpoint(run, 900, run_id="another")
    (run / "checkpoint-4" / "manifest.json").write_text("{")
    set_aside_later(run, 2, run_id=RUN)
    write_small_checkpoint(run, 8)
    rotate(run, run_id=RUN, limit=1, newest=8, best=None)
    names = {str(path.relative_to(run)) for path in run.rglob("checkpoint-*")}
    aside = {"set-aside.1/checkpoint-4", "set-aside.1/checkpoint-6"}
    assert names == {"checkpoint-8", "checkpoint-900"} | aside
    assert f"Kept is {run / 'checkpoint-8'}," in what_is_kept(run)


def test_a_folder_that_refuses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _run(tmp_path, 2, 4)

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(StorageError, match="No step was taken, and none of them is lost"):
            set_aside_later(run, 2, run_id=RUN)
    assert _start(run, "latest")[0] == "checkpoint-4"
