from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from fixtures_checkpoints import RUN, write_small_checkpoint
from flipbook.errors import ArgumentError, CheckpointError, StorageError
from flipbook.train.checkpoints.identity import read_run_id, write_run_id
from flipbook.train.run_folder import held


def _start(run_folder: Path, asked: str | None) -> tuple[str | None, str]:
    """Return where a run would go on from, by name, and what is told."""
    told = io.StringIO()
    console = Console(file=told, width=1000)
    with held(run_folder, asked, console=console) as begun:
        name = None if begun.goes_on_from is None else Path(begun.goes_on_from).name
    return name, told.getvalue()


def _run(folder: Path, *steps: int) -> Path:
    folder.mkdir(exist_ok=True)
    write_run_id(folder, RUN)
    for step in steps:
        write_small_checkpoint(folder, step)
    return folder


def test_a_run_begins_with_an_id_of_its_own(tmp_path: Path) -> None:
    assert _start(tmp_path / "a", None) == (None, "")
    name, told = _start(tmp_path / "b", "latest")
    assert name is None
    assert "holds no checkpoint of this run, so it begins at its first step" in told
    assert not list(tmp_path.iterdir())  # nothing was written, so nothing is left
    ids = set()
    for asked in (None, "latest"):
        with held(tmp_path / "c", asked, console=Console(file=io.StringIO())) as begun:
            assert read_run_id(tmp_path / "c") == begun.run_id
            ids.add(begun.run_id)
    assert len(ids) == 2


@pytest.mark.guarantee(3)
@pytest.mark.parametrize("word", ["latest", "true", "auto"])
def test_the_newest_by_number_that_is_whole_is_taken(tmp_path: Path, word: str) -> None:
    run = _run(tmp_path, 10, 9, 2)
    assert _start(run, word) == ("checkpoint-10", "")
    (run / "checkpoint-10" / "model.safetensors").write_bytes(b"damaged")
    (run / "checkpoint-9" / "manifest.json").unlink()
    name, told = _start(run, word)
    assert name == "checkpoint-2"
    assert "checkpoint-10 is passed over" in told
    assert "model.safetensors has 7 bytes instead of 40" in told
    assert "checkpoint-9 is passed over" in told
    assert "holds no manifest.json" in told
    assert "The run goes on from" in told


@pytest.mark.guarantee(3)
def test_none_whole_is_an_error_and_no_new_start(tmp_path: Path) -> None:
    run = _run(tmp_path, 2, 4)
    for step in (2, 4):
        (run / f"checkpoint-{step}" / "trainer_state.json").unlink()
    with pytest.raises(CheckpointError, match="none of its checkpoints can be gone on from"):
        _start(run, "latest")
    assert len(list(run.glob("checkpoint-*"))) == 2


@pytest.mark.guarantee(3)
def test_a_named_one_must_be_whole(tmp_path: Path) -> None:
    run = _run(tmp_path, 2, 4)
    name, told = _start(run, str(run / "checkpoint-2"))
    assert name == "checkpoint-2"
    assert "its checkpoints of later steps (checkpoint-4) are set aside in" in told
    (run / "checkpoint-2" / "model.safetensors").write_bytes(bytes(40))
    with pytest.raises(CheckpointError, match="model.safetensors is not what was written"):
        _start(run, str(run / "checkpoint-2"))


@pytest.mark.guarantee(9)
def test_checkpoints_of_another_run_are_passed_over_and_named(tmp_path: Path) -> None:
    run = _run(tmp_path, 2)
    write_small_checkpoint(run, 900, run_id="another")
    name, told = _start(run, "latest")
    assert name == "checkpoint-2"
    assert "checkpoint-900 is passed over: it is of another run (another)" in told
    with pytest.raises(CheckpointError, match=r"is of another run \(another\) than"):
        _start(run, str(run / "checkpoint-900"))


@pytest.mark.guarantee(9)
def test_a_stale_checkpoint_of_a_higher_number_does_not_end_a_new_run(tmp_path: Path) -> None:
    run = _run(tmp_path)
    write_small_checkpoint(run, 900, run_id="another")
    name, told = _start(run, "latest")
    assert name is None
    assert "checkpoint-900 is passed over" in told


@pytest.mark.guarantee(9)
def test_a_folder_without_an_id_takes_over_that_of_its_checkpoints(tmp_path: Path) -> None:
    write_small_checkpoint(tmp_path, 2)
    assert _start(tmp_path, "latest") == ("checkpoint-2", "")
    assert read_run_id(tmp_path) == RUN
    (tmp_path / "run.json").unlink()
    write_small_checkpoint(tmp_path, 900, run_id="another")
    with pytest.raises(CheckpointError, match="checkpoints of 2 runs"):
        _start(tmp_path, "latest")
    name, _ = _start(tmp_path, str(tmp_path / "checkpoint-2"))
    assert name == "checkpoint-2"
    assert read_run_id(tmp_path) == RUN


def test_a_damaged_id_is_said(tmp_path: Path) -> None:
    run = _run(tmp_path, 2)
    (run / "run.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"run.json: cannot be read.*remove the file"):
        _start(run, "latest")


def test_a_renamed_checkpoint_and_one_without_optimizer_are_refused(tmp_path: Path) -> None:
    run = _run(tmp_path, 2)
    (run / "checkpoint-2").rename(run / "checkpoint-7")
    with pytest.raises(CheckpointError, match="written at step 2 and has been renamed"):
        _start(run, str(run / "checkpoint-7"))
    write_small_checkpoint(run, 8, can_go_on=False)
    with pytest.raises(CheckpointError, match="--save_only_model"):
        _start(run, str(run / "checkpoint-8"))


def test_a_finished_run_without_checkpoints_is_not_written_over(tmp_path: Path) -> None:
    run = _run(tmp_path)
    (run / "model").mkdir()
    with pytest.raises(ArgumentError, match="already holds a run"):
        _start(run, None)
    with pytest.raises(ArgumentError, match="holds model/ of a run that ended"):
        _start(run, "latest")
    write_small_checkpoint(run, 2)
    assert _start(run, "latest") == ("checkpoint-2", "")


@pytest.mark.guarantee(1)
def test_leftovers_of_a_killed_process_are_swept_away(tmp_path: Path) -> None:
    run = _run(tmp_path, 2)
    for name in (".partial/checkpoint-4", ".removed/checkpoint-1", ".model.previous"):
        (run / name).mkdir(parents=True)
        (run / name / "half.safetensors").write_bytes(b"x")
    assert _start(run, "latest") == ("checkpoint-2", "")
    names = {path.name for path in run.iterdir()} - {".lock"}
    assert names == {"checkpoint-2", "run.json", "model"}  # the model had no other name then


@pytest.mark.guarantee(1)
def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written to .*Nothing was trained"):
        _start(tmp_path / "file" / "run", None)
