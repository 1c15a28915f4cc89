"""Is a model known again by its files, and by nothing else?"""

from __future__ import annotations

from pathlib import Path

from flipbook.score.opinions.facts import folder_sha256


def _folder(root: Path) -> Path:
    (root / "1_Pooling").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "1_Pooling" / "config.json").write_text('{"mean": true}')
    (root / "model.safetensors").write_bytes(b"\0" * 100)
    return root


def test_equal_folders_have_equal_hashes_wherever_they_lie(tmp_path: Path) -> None:
    first, second = _folder(tmp_path / "a"), _folder(tmp_path / "b")
    assert len(folder_sha256(first)) == 64
    assert folder_sha256(first) == folder_sha256(second)


def test_what_decides_nothing_does_not_count(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a")
    before = folder_sha256(folder)
    (folder / "README.md").write_text("hello")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "state.json").write_text("{}")
    assert folder_sha256(folder) == before


def test_one_bit_a_name_or_a_file_more_is_another_model(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a")
    hashes = {folder_sha256(folder)}
    (folder / "model.safetensors").write_bytes(b"\0" * 99 + b"\1")
    hashes.add(folder_sha256(folder))
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    hashes.add(folder_sha256(folder))
    (folder / "1_Pooling" / "config.json").rename(folder / "pooling.json")
    hashes.add(folder_sha256(folder))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    hashes.add(folder_sha256(folder))
    assert len(hashes) == 5
