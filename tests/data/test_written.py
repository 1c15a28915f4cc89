from __future__ import annotations

from pathlib import Path

import pytest

from fixtures_kills import dies_at
from flipbook.data import written
from flipbook.data.written import bring_back, put_folder, sync_tree, write_whole


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
