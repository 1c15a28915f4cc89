"""What `flipbook export` prints, and in which order it does things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flipbook.apps import export
from flipbook.cli import main
from flipbook.errors import ArgumentError


def test_it_tells_what_was_written_and_how_to_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "mine")
    assert main(["export", "--model", "tiny", "--layout", "hf", "--out", out]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"{out}: 2.")
    assert any("model.safetensors" in line and "2.6 MB" in line for line in shown)
    start = shown.index("How to use it:")
    assert len(shown[start + 1 :]) == 3
    assert f"flipbook chat --model {out}" in shown[start + 1]


def test_every_flag_reaches_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def note(model: str, **arguments: Any) -> Any:
        asked.update(arguments, model=model)
        raise ArgumentError("that is all")

    monkeypatch.setattr(export, "export_model", note)
    monkeypatch.setattr(export, "check_hub_target", lambda _: None)
    words = "--model m --layout apple --out o --merge_lora --base b --dtype float16 --for_swift"
    more = "--max_shard_size 1GB --push_to_hub a/b"
    assert main(["export", *words.split(), *more.split()]) == 2
    options = asked.pop("options")
    assert asked == {
        "model": "m",
        "layout": "apple",
        "out": "o",
        "merge_lora": True,
        "base": "b",
        "card_name": "a/b",
    }
    assert vars(options) == {"dtype": "float16", "max_shard_size": "1GB", "for_swift": True}


def test_the_folder_goes_to_the_hub_after_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[object] = []

    def push(folder: Path, hub_id: str, *, private: bool) -> str:
        steps.append((hub_id, private, (folder / "config.json").is_file()))
        return "https://hub.example/someone/laps"

    monkeypatch.setattr(export, "check_hub_target", steps.append)
    monkeypatch.setattr(export, "push_folder", push)
    words = ["--model", "tiny", "--layout", "hf", "--out", str(tmp_path / "mine"), "--private"]
    assert main(["export", *words, "--push_to_hub", "someone/laps"]) == 0
    assert steps == ["someone/laps", ("someone/laps", True, True)]
    assert "On the hub: https://hub.example/someone/laps" in capsys.readouterr().out
    assert "# laps" in (tmp_path / "mine" / "README.md").read_text()


def test_hiding_without_pushing_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", "tiny", "--layout", "hf", "--out", str(tmp_path / "mine"), "--private"]
    assert main(["export", *words]) == 2
    assert "--private is about the hub: add --push_to_hub" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
