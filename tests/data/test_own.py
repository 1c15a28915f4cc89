"""A record that is written in our own form and read again is the same record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flipbook.data.own import row_of
from flipbook.data.records import read_records

ANSWER = {"role": "assistant", "content": "Because."}
ROWS: list[dict[str, Any]] = [
    {"id": "llava", "video": "a.mp4", "conversations": [
        {"from": "human", "value": "<video>\nWhy?"}, {"from": "gpt", "value": "So <image>."}]},
    {"id": "typed", "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "<image> is a word"}]}, ANSWER]},
    {"id": "trimmed", "clip": {"num_frames": 3, "frame_size": 128}, "messages": [
        {"role": "user", "content": [
            {"type": "video", "path": "a.mp4", "start_s": 1.0, "end_s": 2.5},
            {"type": "video", "path": "below/b.mp4", "times_s": [0.0, 0.5]},
            {"type": "text", "text": "Same?"}]}, ANSWER]},
    {"id": "pictures", "messages": [
        {"role": "user", "content": [
            {"type": "video", "frames": ["p/1.png", "p/2.png"], "frames_fps": 2.0},
            {"type": "video", "path": "p", "frames_fps": 4.0},
            {"type": "image", "path": "p/1.png"}]}, ANSWER]},
    {"id": "several", "video": "a.mp4", "task": "why", "group": "g", "split": "test",
     "kind": "multiple_choice", "options": ["x", "y"], "answer": "y", "spans": [[0.5, 1.0]],
     "references": ["z"], "conversations": [
        [{"from": "human", "value": "<video>\nWhy?"}, {"from": "gpt", "value": "A."}],
        [{"from": "human", "value": "<video>\nHow? 猫"}, {"from": "gpt", "value": "B."}]]},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "below/b.mp4", "p/1.png", "p/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_way_there_and_back_changes_nothing(row: dict[str, Any], folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps([row]))
    (record,) = read_records(folder / "a.json", strict=True).records
    written = row_of(record, folder=folder)
    (folder / "b.jsonl").write_text(json.dumps(written) + "\n")
    (again,) = read_records(folder / "b.jsonl", strict=True).records
    assert again == record
    assert row_of(again, folder=folder) == written
    assert str(folder) not in json.dumps(written)


def test_files_elsewhere_keep_their_whole_path(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps([ROWS[0]]))
    (record,) = read_records(folder / "a.json").records
    written = row_of(record, folder=folder / "below")
    assert written["messages"][0]["content"][0] == {
        "type": "video",
        "path": str(folder / "a.mp4"),
    }
