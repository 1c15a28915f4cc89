"""What the readers of benchmarks share."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures_benchmarks import make_files, outcome, write_json
from flipbook.data.formats.asked import (
    find_first,
    object_beside,
    question_row,
    row_id,
    seconds,
    split_in,
    split_of_name,
    stretch_in,
)
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.open_qa import read_msrvtt_qa
from flipbook.data.formats.origin import Origin
from flipbook.errors import RecordError


def test_a_row_holds_only_what_is_known() -> None:
    row = question_row(
        "x", clip={"path": "a.mp4"}, question="Why?", reply="Rain.", kind="open", split=None
    )
    content = [{"type": "video", "path": "a.mp4"}, {"type": "text", "text": "Why?"}]
    assert row == {
        "id": "x",
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": "Rain."},
        ],
        "kind": "open",
        "answer": "Rain.",
    }


@pytest.mark.parametrize(
    ("value", "name"),
    [(7, "7"), (" a ", "a"), ("", "f:1"), (None, "f:1"), (True, "f:1")]
    + [(text, "f:1") for text in ("\ud800", "a\nb", "a" * 201)],
)
def test_an_id_is_text_that_can_be_written_down(value: object, name: str) -> None:
    assert row_id(value, "f:1") == name


@pytest.mark.parametrize("value", [-1, "x", None, True, float("nan"), float("inf"), [1], 10**400])
def test_what_is_no_instant_is_refused(value: object) -> None:
    with pytest.raises(RecordError, match="'start' is .*; it must be seconds, from 0 on"):
        seconds(value, "start", "x")


def test_a_stretch_may_be_open_at_either_end() -> None:
    keys = ("from", "to")
    assert stretch_in({"from": "1.5", "to": None}, keys, "x") == {"start_s": 1.5}
    assert stretch_in({"to": 2}, keys, "x") == {"end_s": 2.0}
    assert stretch_in({"from": ""}, keys, "x") == {}
    with pytest.raises(RecordError, match="'to' is 0 and 'from' is 0: the end must come after"):
        stretch_in({"to": 0}, keys, "x")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.json", "train"),
        ("STAR_val.json", "validation"),
        ("val_1.json", "validation"),
        ("charades_sta_test.txt", "test"),
        ("msrvtt-test1k.json", "test"),
        ("train_val_videodatainfo.json", None),
        ("training_train.json", "train"),
        ("latest.json", None),
        ("questions.json", None),
    ],
)
def test_a_split_is_a_word_of_the_files_name(name: str, split: str | None) -> None:
    assert split_of_name(Path("test") / name) == split


def test_a_split_of_a_row_comes_before_that_of_its_file(tmp_path: Path) -> None:
    path = Path("train.json")
    assert split_in({"split": "val"}, path) == "validation"
    assert split_in({"split": "validate"}, path) == "validation"
    assert split_in({"split": ""}, path) == "train"
    assert split_in({}, path) == "train"
    make_files(tmp_path, "video1.mp4")
    row = {"id": 1, "video_id": 1, "category_id": 1, "question": "?", "answer": "!"}
    unknown = write_json(tmp_path / "train.json", [row | {"split": "tset"}])
    with pytest.raises(RecordError, match="'split' is 'tset'; known are train, validation, test"):
        outcome(read_msrvtt_qa, Origin(unknown))


def test_the_first_name_that_is_there_counts(tmp_path: Path) -> None:
    names = MediaNames(make_files(tmp_path, "b.mp4", "c.mp4", "x/d.mp4", "y/d.mp4"))
    assert find_first(names, [None, "a", "c", "b"], record_id="x") == "c.mp4"
    with pytest.raises(RecordError, match="no video 'a' in"):
        find_first(names, ["a", ""], record_id="x")
    with pytest.raises(RecordError, match="several files are called 'd': x/d.mp4, y/d.mp4"):
        find_first(names, ["d", "b"], record_id="x")
    with pytest.raises(RecordError, match="the name of its video is None"):
        find_first(names, [None], record_id="x")


def test_an_object_beside_a_file_is_read_where_it_is(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", [])
    assert object_beside(path, ["map.json"]) == {}
    write_json(tmp_path / "map.json", {"x": 1})
    assert object_beside(path, ["none.json", "map.json"]) == {"x": 1}


def test_a_folder_of_pictures_is_found_by_its_name(tmp_path: Path) -> None:
    files = ("a/one/1.jpg", "b/two/1.jpg", "c/two/1.png", "d/three/clip.mp4", "one.mp4")
    names = MediaNames(make_files(tmp_path, *files))
    assert names.find_folder("one", record_id="x") == "a/one"
    assert names.find_folder("b/two", record_id="x") == "b/two"
    with pytest.raises(RecordError, match="several files are called 'two': b/two, c/two; rename"):
        names.find_folder("two", record_id="x")
    for missing in ("three", "a" * 300, "\0"):
        with pytest.raises(RecordError, match="no video .* in "):
            names.find_folder(missing, record_id="x")


def test_only_the_first_missing_names_are_guessed_at(tmp_path: Path) -> None:
    names = MediaNames(make_files(tmp_path, "video7.mp4"))
    verdicts = []
    for _ in range(21):
        with pytest.raises(RecordError, match="no video 'video8' in ") as caught:
            names.find("video8", record_id="x")
        verdicts.append(str(caught.value))
    assert all("Did you mean 'video7'?" in verdict for verdict in verdicts[:20])
    assert "Did you mean" not in verdicts[20]
