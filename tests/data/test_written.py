from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures_kills import dies_at
from flipbook.data import written
from flipbook.data.written import (
    bring_back,
    check_folder,
    make_folder,
    put_folder,
    sync_tree,
    write_whole,
)
from flipbook.errors import StorageError


def _make(folder: Path, word: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "one").write_text(word)
    (folder / "two").write_text(word)
    return folder


def _read(folder: Path) -> set[str]:
    return {(folder / name).read_text() for name in ("one", "two")}


@pytest.mark.guarantee(1)
@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_kill_leaves_the_old_folder_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool, is_new: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(written, "_exchange", lambda one, other: False)
    event, found = 1, []
    while True:
        run = tmp_path / str(event)
        staged, folder = _make(run / ".model.partial", "new"), run / "model"
        if not is_new:
            _make(folder, "old")

        def put(staged: Path = staged, folder: Path = folder) -> None:
            sync_tree(staged)
            put_folder(staged, folder)

        died = dies_at(event, put)
        if exchanges and not is_new:
            assert _read(folder) in ({"old"}, {"new"})  # before anything is brought back
        bring_back(folder)
        words = _read(folder) if folder.exists() else set()
        assert words in (({"new"}, set()) if is_new else ({"new"}, {"old"}))
        found.append(words)
        assert not (run / ".model.previous").exists()
        if not died:
            break
        event += 1
    assert found[0] == (set() if is_new else {"old"})
    assert found[-1] == {"new"}


@pytest.mark.guarantee(1)
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path, event = tmp_path / "config.yaml", 1
    path.write_text("old")
    while dies_at(event, lambda: write_whole(path, "new")):
        assert path.read_text() in ("old", "new")
        path.write_text("old")
        event += 1
    assert path.read_text() == "new"


@pytest.mark.parametrize("name", ["file", "file/out", "/proc/nope"])
@pytest.mark.parametrize("make", [make_folder, check_folder])
def test_a_folder_that_cannot_be_made_is_named(
    make: Callable[[Path], None], name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=rf"{name}: cannot be made .*name another folder"):
        make(tmp_path / name)


def test_a_folder_is_tried_without_leaving_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").mkdir()
    check_folder(tmp_path / "old")
    check_folder(tmp_path / "new" / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(written.tempfile, "TemporaryFile", refuse)
    with pytest.raises(StorageError, match=r"new: cannot be written to \(Permission denied\)"):
        check_folder(tmp_path / "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]
