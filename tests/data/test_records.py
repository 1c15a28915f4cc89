"""Manifests become records, or errors that say what to mend."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flipbook.data.extras import Extras
from flipbook.data.records import Media, Record, Turn, read_records
from flipbook.errors import ArgumentError, ManifestError, RecordError

QUESTION = {"from": "human", "value": "<video>\nWhat moves?"}
ANSWER = {"from": "gpt", "value": "A circle."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files that only need to exist."""
    for name in ("a.mp4", "b.mov", "c.png", "d.JPG"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def write(folder: Path, content: Any, name: str = "train.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def row(**changes: Any) -> dict[str, Any]:
    return {"id": "clip-7", "video": "a.mp4", "conversations": [QUESTION, ANSWER]} | changes


def test_a_json_list_and_json_lines_give_the_same_records(folder: Path) -> None:
    rows = [row(task="direction"), row(id=8, video="b.mov"), row(id="text", video=None)]
    rows[2]["conversations"] = [{"from": "user", "value": "Hi"}, ANSWER]
    lines = "\n\n".join(json.dumps(one) for one in rows)
    expected = read_records(write(folder, rows))
    assert not expected.rejected
    first, second, third = expected.records
    clip = Media("video", str(folder / "a.mp4"))
    turns = (Turn("user", (clip, "What moves?")), Turn("assistant", ("A circle.",)))
    assert first == Record("clip-7", (turns,), Extras(task="direction"))
    assert (second.id, second.task, second.media[0].path) == ("8", None, str(folder / "b.mov"))
    assert third.media == ()
    for name in ("train.jsonl", "train.ndjson", "lines.json"):
        assert read_records(write(folder, lines, name)) == expected
    byte_order_mark = "\ufeff" + json.dumps(rows)
    assert read_records(write(folder, byte_order_mark, "windows.json")) == expected


def test_a_single_object_is_a_manifest_of_one_row(folder: Path) -> None:
    assert len(read_records(write(folder, row())).records) == 1


def test_rows_without_an_id_are_called_by_file_and_number(folder: Path) -> None:
    rows = [row(id=None), row(id=""), row(video="gone.mp4", id=None)]
    result = read_records(write(folder, rows))
    assert [record.id for record in result.records] == ["train.json:1", "train.json:2"]
    assert result.rejected[0].record_id == "train.json:3"
    lines = "\n\n" + json.dumps(row(id=None))
    assert read_records(write(folder, lines, "l.jsonl")).records[0].id == "l.jsonl:3"


def test_a_second_row_of_an_id_gets_a_number(folder: Path) -> None:
    ids = ["a", "a", "a#2", "a", "b"]
    result = read_records(write(folder, [row(id=one) for one in ids]))
    assert [record.id for record in result.records] == ["a", "a#2", "a#2#2", "a#3", "b"]


def test_every_row_becomes_a_record_or_an_error(folder: Path) -> None:
    rows = [
        row(id="good"),
        row(id="gone", video="gone.mp4"),
        "text",
        row(id="blank", conversations=[QUESTION, {"from": "gpt", "value": ""}]),
        row(id=True),
        row(id="task", task=7),
        {"id": "odd", "conversation": []},
    ]
    path = write(folder, rows)
    result = read_records(path)
    assert [record.id for record in result.records] == ["good"]
    assert [error.record_id for error in result.rejected] == [
        "gone",
        "train.json:3",
        "blank",
        "train.json:5",
        "task",
        "odd",
    ]
    messages = [str(error) for error in result.rejected]
    assert str(folder / "gone.mp4") in messages[0]
    assert "does not exist" in messages[0]
    assert "is str; a row must be an object" in messages[1]
    assert "turn 2 is a blank answer" in messages[2]
    assert "'id' is True" in messages[3]
    assert "'task' is 7" in messages[4]
    assert messages[5] == (
        "record odd: has the keys id, conversation; expected is conversations or messages. "
        "Did you mean 'conversations'?"
    )
    with pytest.raises(RecordError, match="record gone"):
        read_records(path, strict=True)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.json",
            '[{"id": 1},\n {"id": }]',
            r"a.json, line 2, column 9: not JSON .Expecting value",
        ),
        (
            "a.jsonl",
            '{"id"\n\n{"id"',
            r"no row that can be read; the first is not JSON .Expecting ':'",
        ),
        ("a.json", "", r"a.json, line 1, column 1: not JSON"),
        ("a.json", "[" * 100_000, "nested too deeply|not JSON"),
        ("a.jsonl", "[" * 100_000, "no row that can be read; the first is nested too deeply"),
        ("a.json", "[]", "holds no records"),
        ("a.jsonl", "\n", "holds no records"),
        ("a.json", "[1, 2]", "holds no objects"),
        ("a.json", "7", "holds int; a manifest is a list of rows"),
        ("a.json", '{"data": [], "message": 1}', "keys data, message; .* mean 'messages'. A man"),
        ("a.json", '[{"data": 1}]', "the first row has the keys data; expected is conversations"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_by_place(
    name: str, content: str, message: str, folder: Path
) -> None:
    with pytest.raises(ManifestError, match=message):
        read_records(write(folder, content, name))


def test_a_line_that_is_no_json_spoils_no_other_line(folder: Path) -> None:
    unsound = [
        '{"id"',
        '{"id": 1, "id": 2}',
        '{"id": NaN}',
        "[" * 10_000,
        '{"id": ' + "7" * 5000 + "}",
    ]
    lines = [json.dumps(row(id="good")), *unsound, json.dumps(row(id="too"))]
    result = read_records(write(folder, "\n".join(lines), "lines.jsonl"))
    assert [record.id for record in result.records] == ["good", "too"]
    told = [str(error) for error in result.rejected]
    expected = ["is not JSON (Expecting ':'", "'id' twice", "NaN", "too deeply", "5,000 digits"]
    for number, (reason, words) in enumerate(zip(told, expected, strict=True), start=2):
        assert reason.startswith(f"record lines.jsonl:{number}: ")
        assert words in reason


def test_a_key_that_is_there_twice_spoils_no_other_row_of_a_list(folder: Path) -> None:
    twice = json.dumps(row(id="twice"))[:-1] + ', "video": "b.mov"}'
    result = read_records(write(folder, f"[{json.dumps(row())}, {twice}]"))
    assert [record.id for record in result.records] == ["clip-7"]
    assert "train.json:2: holds the key 'video' twice" in str(result.rejected[0])


def test_a_file_that_cannot_be_read_is_refused(folder: Path) -> None:
    write(folder, "[]", "train.json")
    with pytest.raises(ManifestError, match="trian.json: does not exist; .* mean 'train.json'"):
        read_records(folder / "trian.json")
    with pytest.raises(ManifestError, match="is no JSON or JSONL file; make records of it with"):
        read_records(folder)
    (folder / "binary.json").write_bytes(b"PK\xff\xfe")
    with pytest.raises(ManifestError, match="no text in UTF-8 .invalid start byte at byte 2"):
        read_records(folder / "binary.json")


def test_several_conversations_hang_on_one_record(folder: Path) -> None:
    second = [{"from": "human", "value": "How many?"}, {"from": "gpt", "value": "Two."}]
    record = read_records(write(folder, [row(conversations=[[QUESTION, ANSWER], second])])).records[
        0
    ]
    clip = Media("video", str(folder / "a.mp4"))
    assert record.conversations[1] == (
        Turn("user", (clip, "How many?")),
        Turn("assistant", ("Two.",)),
    )
    assert record.media == (clip,)


def test_a_record_needs_a_conversation() -> None:
    with pytest.raises(RecordError, match="record x: has no conversation; add one"):
        Record("x", ())
    with pytest.raises(RecordError, match="record x: the last user turn has no answer; add one"):
        Record("x", ((Turn("user", ("Hi",)),),))


def test_media_lie_in_the_image_folder_or_beside_the_manifest(folder: Path) -> None:
    clips = folder / "clips"
    clips.mkdir()
    (clips / "e.mp4").write_bytes(b"x")
    names = ["e.mp4", str(clips / "e.mp4"), "../a.mp4", str(folder / "a.mp4"), "a.mp4"]
    path = write(folder, [row(id=name, video=name) for name in names])
    result = read_records(path, image_folder=clips)
    assert [record.media[0].path for record in result.records] == [
        str(clips / "e.mp4"),
        str(clips / "e.mp4"),
        str(folder / "a.mp4"),
        str(folder / "a.mp4"),
    ]
    assert [error.record_id for error in result.rejected] == ["a.mp4"]
    with pytest.raises(ArgumentError, match="--image_folder .*nowhere is no folder"):
        read_records(path, image_folder=folder / "nowhere")


def test_relative_manifest_paths_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, [row()])
    monkeypatch.chdir(folder)
    assert read_records("train.json").records[0].media[0].path == str(folder / "a.mp4")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../secret.mp4", "leads outside of"),
        ("/etc/passwd", "leads outside of .*--image_folder"),
        ("link.mp4", "leads outside of"),
        ("linked/secret.mp4", "leads outside of"),
        ("http://example.org/a.mp4", "is an address, and only local files are read"),
        ("file:///etc/passwd", "leads outside of"),
        ("file://host/a.mp4", "is an address"),
        ("data:video/mp4;base64,AAAA", "is an address"),
        ("concat:a.mp4|a.mp4", "does not exist"),
        ("inside", "is a folder without pictures"),
        ("empty.mp4", "is empty"),
        ("a\0.mp4", "is no name that a file can have"),
        ("loop.mp4", "cannot be opened"),
        ("x" * 300 + ".mp4", "cannot be opened"),
        (7, "a media path is 7; it must be the path of a file"),
        ("", "a media path is ''"),
        ("half \ud83c.mp4", "is no name that a file can have"),
        ({"path": "../secret.mp4"}, "leads outside of"),
        ({"path": 7}, "a media path is 7; it must be the path of a file"),
        ({"name": "a.mp4"}, "an object under 'video' names no file"),
        ([["../secret.png"]], "leads outside of"),
        ([["empty.mp4"]], "is empty|stands in a list of pictures and is none"),
    ],
)
def test_paths_that_may_not_be_opened_reject_the_record(
    name: Any, message: str, tmp_path: Path
) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"x")
    folder = tmp_path / "data"
    (tmp_path / "secret.png").write_bytes(b"x")
    (folder / "inside").mkdir(parents=True)
    (folder / "empty.mp4").touch()
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    result = read_records(write(folder, [row(video=name)]))
    assert not result.records
    assert re.search(f"record clip-7: .*{message}", str(result.rejected[0]))


def test_links_that_stay_inside_are_followed(folder: Path) -> None:
    (folder / "link.mp4").symlink_to(folder / "a.mp4")
    record = read_records(write(folder, [row(video="link.mp4")])).records[0]
    assert record.media == (Media("video", str(folder / "link.mp4")),)
