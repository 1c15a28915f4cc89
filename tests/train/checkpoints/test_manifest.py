from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures_checkpoints import RUN, write_small_checkpoint
from flipbook.errors import CheckpointError
from flipbook.train.checkpoints.manifest import refuse_pickles, verify

FILES = ["model.safetensors", "trainer_state.json", "inner/more.json", "manifest.json"]


def _flip(path: Path, place: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place // 8 % len(content)] ^= 1 << place % 8
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped": _flip,
    "cut": _cut,
    "emptied": lambda path: path.write_bytes(b""),
    "removed": Path.unlink,
    "longer": lambda path: path.write_bytes(path.read_bytes() + b" "),
}


def test_a_checkpoint_tells_step_run_and_size(tmp_path: Path) -> None:
    manifest = verify(write_small_checkpoint(tmp_path, 4))
    assert (manifest.step, manifest.run_id, manifest.num_processes) == (4, RUN, 1)
    assert sorted(manifest.files) == sorted(FILES[:-1])
    assert manifest.num_bytes == 40 + 18 + 2


@pytest.mark.guarantee(3)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_to_every_file_is_found(tmp_path: Path, name: str, damage: str) -> None:
    folder = write_small_checkpoint(tmp_path, 4)
    DAMAGES[damage](folder / name)
    with pytest.raises(CheckpointError, match=str(folder)):
        verify(folder)


@pytest.mark.guarantee(3)
@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(FILES), place=st.integers(0, 10_000))
def test_any_flipped_bit_is_found(
    tmp_path_factory: pytest.TempPathFactory, name: str, place: int
) -> None:
    folder = write_small_checkpoint(tmp_path_factory.mktemp("run"), 4)
    _flip(folder / name, place)
    with pytest.raises(CheckpointError):
        verify(folder)


@pytest.mark.guarantee(3)
@pytest.mark.parametrize("name", ["optimizer.pt", "pytorch_model.bin", "inner/adapter.safetensors"])
def test_a_file_that_a_loader_would_read_is_not_put_in(tmp_path: Path, name: str) -> None:
    folder = write_small_checkpoint(tmp_path, 4)
    (folder / "notes.txt").write_text("mine, and read by nobody")
    verify(folder)
    (folder / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match="was put there after the checkpoint was written"):
        verify(folder)


def test_a_folder_of_another_program_is_refused_with_its_pickles(tmp_path: Path) -> None:
    (tmp_path / "optimizer.pt").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"no manifest.json.*\(optimizer.pt\); unpickling"):
        verify(tmp_path)
    with pytest.raises(CheckpointError, match="flipbook never does"):
        refuse_pickles(tmp_path)


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    folder = write_small_checkpoint(tmp_path, 4)
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(CheckpointError, match="damaged, or of another version"):
        verify(folder)


def test_a_folder_without_a_manifest_is_told_without_a_walk(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "deep.pkl").write_bytes(b"x")
    for number in range(20):
        (tmp_path / f"{number:02}.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=r"00\.bin, .*04\.bin and 15 more\)") as caught:
        verify(tmp_path)
    assert "deep.pkl" not in str(caught.value)


def test_long_lists_of_added_files_are_cut(tmp_path: Path) -> None:
    folder = write_small_checkpoint(tmp_path, 4)
    for number in range(20):
        (folder / f"{number:02}.bin").write_bytes(b"x")
    for check in (verify, refuse_pickles):
        with pytest.raises(CheckpointError, match=r"04\.bin and 15 more"):
            check(folder)
