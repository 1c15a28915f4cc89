"""A file of rows is whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flipbook.data.converting.written_rows import Rejections, RowWriter, TakenNames
from flipbook.data.manifests import NUM_REASONS_SHOWN
from flipbook.errors import RecordError, StorageError


def test_a_file_is_there_when_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    with RowWriter(path) as writer:
        writer.write({"id": "é"})
        assert not path.exists()
        writer.keep()
        assert path.read_text(encoding="utf-8") == '{"id": "é"}\n'
    assert list(path.parent.iterdir()) == [path]
    assert writer.num_rows == 1


def test_a_file_that_is_not_kept_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError, match="stop"), RowWriter(path) as writer:
        writer.write({"id": 1})
        raise RuntimeError("stop")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_row_is_one_line_for_every_program(tmp_path: Path) -> None:
    text = "a\nb\x85c\u2028d\u2029e\x0bf"
    with RowWriter(tmp_path / "a.jsonl") as writer:
        writer.write({"id": text})
        writer.keep()
    (line,) = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {"id": text}


def test_half_a_character_is_not_written(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "a.jsonl") as writer:
        with pytest.raises(RecordError, match="record r: names a file that is no text in UTF-8"):
            writer.write({"id": "r", "path": "\udcff"})
        assert writer.num_rows == 0


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match=r"a\.jsonl cannot be written \(.*\); name another"),
        RowWriter(tmp_path / "file" / "a.jsonl"),
    ):
        pass


def test_rejections_are_counted_and_written(tmp_path: Path) -> None:
    with RowWriter(tmp_path / "a.jsonl") as writer:
        rejected = Rejections(writer)
        assert not rejected
        for number in range(NUM_REASONS_SHOWN + 3):
            rejected.add(RecordError(f"r\udc80{number}", f"is \ud800\nbad {number}"))
        writer.keep()
    assert len(rejected) == NUM_REASONS_SHOWN + 3
    assert len(rejected[:100]) == NUM_REASONS_SHOWN
    assert rejected[1].message.endswith("bad 1")
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == NUM_REASONS_SHOWN + 3
    assert json.loads(lines[7]) == {"id": "r\\udc807", "reason": "is \\ud800 bad 7"}


def test_every_name_is_given_once() -> None:
    names = TakenNames()
    given = [names.name(word) for word in ["a", "a", "a#2", "a", "b", "a#3", "\ud800", "\ud800"]]
    assert given == ["a", "a#2", "a#2#2", "a#3", "b", "a#3#2", "\ud800", "\ud800#2"]


def test_many_of_one_name_are_no_slower() -> None:
    names = TakenNames()
    assert [names.name("a") for _ in range(3000)][-1] == "a#3000"
