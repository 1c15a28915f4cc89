"""What `flipbook data split` prints tells where everything went."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from flipbook.apps.data.split import add_arguments, run
from flipbook.errors import ArgumentError


def _split(*words: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    run(parser.parse_args(words))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [
        {
            "id": f"r{number}",
            "messages": [
                {"role": "user", "content": f"Question {number}?"},
                {"role": "assistant", "content": "Yes."},
            ],
            "task": f"[b]task {number % 30}[/b]",
            "group": f"g{number}",
        }
        for number in range(300)
    ]
    path = tmp_path / "all.json"
    path.write_text(json.dumps(rows), "utf-8")
    return path


def test_the_table_counts_groups_records_and_strata(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _split(str(manifest), "--out", str(tmp_path / "new"))
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert lines[0] == ["train", "validation", "test", "all"]
    assert ["groups", "240", "30", "30", "300"] in lines
    assert ["records", "240", "30", "30", "300"] in lines
    assert ["share", "80.0%", "10.0%", "10.0%"] in lines
    assert ["task", "[b]task", "0[/b]", "8", "1", "1", "10"] in lines
    assert "and 6 more" in shown
    assert "test.jsonl" in shown.replace("\n", "")
    assert "--image_folder" not in shown


def test_flags_reach_the_division(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "new")
    _split(
        *(str(manifest), "--out", out, "--fractions", "0.5", "0", "0.5"),
        *("--seed", "7", "--by", "group", "--stratify", "none", "--override"),
    )
    shown = capsys.readouterr().out
    assert ["share", "50.0%", "50.0%"] in [line.split() for line in shown.splitlines()]
    assert "task" not in shown
    with pytest.raises(ArgumentError, match="--by 'person' is unknown; known are group, video"):
        _split(str(manifest), "--out", out, "--by", "person")


def test_the_folder_of_the_media_and_bad_records_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = []
    for number in range(4):
        if number:
            (folder / f"{number}.mp4").write_bytes(b"x" * number)
        user = {"from": "human", "value": "<video>\nWhat?"}
        turns = [user, {"from": "gpt", "value": "That."}]
        rows.append({"id": f"r{number}", "video": f"{number}.mp4", "conversations": turns})
    (folder / "all.json").write_text(json.dumps(rows), "utf-8")
    out = tmp_path / "new"
    _split(str(folder / "all.json"), "--out", str(out), "--max_bad_fraction", "0.5")
    shown = capsys.readouterr().out.replace("\n", "")
    assert f"read these files with --image_folder {folder}" in shown
    assert "Records that cannot be used and are in no split: 1" in shown
    assert "record r0:" in shown


def test_copies_are_one_clip_unless_names_alone_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns = [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "That."}]
    for number in range(6):
        (tmp_path / f"{number}.mp4").write_bytes(b"x" * max(number, 1))
    rows = [{"video": f"{number}.mp4", "conversations": turns} for number in range(6)]
    (tmp_path / "all.json").write_text(json.dumps(rows), "utf-8")
    for flags, num_groups in (([], "5"), (["--names_only"], "6")):
        _split(str(tmp_path / "all.json"), "--out", str(tmp_path / num_groups), *flags)
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert next(line for line in lines if line[0] == "groups")[-1] == num_groups
