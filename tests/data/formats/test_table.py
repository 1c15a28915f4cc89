"""Which format a file is, among all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures_benchmarks import make_files, write_json
from flipbook.data.formats.origin import Origin
from flipbook.data.formats.table import FORMATS, NATIVE, detect_format, format_named
from flipbook.errors import ArgumentError, ManifestError


def test_a_format_is_named() -> None:
    assert format_named("columns") is FORMATS["columns"]
    with pytest.raises(ArgumentError) as caught:
        format_named("mesages")
    assert "--format mesages is unknown. Did you mean 'messages'? Known: " in str(caught.value)
    assert all(name in str(caught.value) for name in FORMATS)


def test_native_formats_are_formats() -> None:
    assert set(NATIVE) <= FORMATS.keys()
    assert all(form.about for form in FORMATS.values())
    known = {"columns", "prompt", "answers", "part"}
    assert {what for form in FORMATS.values() for what in form.uses} == known


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"a": 1, "b": 2}],
            "no format recognises it; its rows have the keys a, b. Name the format",
        ),
        ([{"mesages": []}], "its rows have the keys mesages. Did you mean 'messages'?"),
        ([7, 8], "holds no row that is an object with keys; is it the right file?"),
        ([], "holds no row that is an object with keys; is it the right file?"),
    ],
)
def test_what_no_format_recognises(rows: list[object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        detect_format(Origin(write_json(tmp_path / "t.json", rows)))
    assert message in str(caught.value)
    assert str(tmp_path / "t.json") in str(caught.value)


OPTIONS = {f"a{place}": "x" for place in range(5)}
EGO_OPTIONS = {f"option {place}": "x" for place in range(5)}
CHOICES = [{"choice_id": 0, "choice": "x"}]
EVENTS = {"duration": 8.5, "timestamps": [[0, 1]], "sentences": ["x"]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("llava", [{"id": "0", "video": "a.mp4", "conversations": [{"from": "human"}]}]),
        ("messages", [{"messages": [{"role": "user"}], "videos": ["a.mp4"]}]),
        ("turns", [{"conversations": [{"role": "user", "content": "x"}], "image": "a.png"}]),
        ("prompt_completion", [{"prompt": "x", "completion": "x", "video": "a.mp4"}]),
        ("query_response", [{"query": "x", "response": "x", "videos": ["a.mp4"]}]),
        ("video_instruct", [{"q": "x", "a": "x", "video_id": "v_a"}]),
        ("video_instruct", [{"question": "x", "answer": "x", "video_name": "v_a"}]),
        ("qevd", [{"video_path": "./0.mp4", "labels": ["x"], "labels_descriptive": ["x"]}]),
        ("nextqa", [{"video": "4", "question": "x", "answer": 1, "qid": 6, **OPTIONS}]),
        ("egoschema", [{"q_uid": "x", "question": "x", **EGO_OPTIONS}]),
        (
            "star",
            [
                {
                    "question_id": "Interaction_T1_13",
                    "video_id": "6H78U",
                    "start": 11.1,
                    "end": 19.6,
                    "question": "x",
                    "choices": CHOICES,
                    "answer": "x",
                }
            ],
        ),
        ("mvbench", [{"video": "a.mp4", "question": "x", "candidates": ["x"], "answer": "x"}]),
        ("choices", [{"video": "a.mp4", "question": "x", "options": ["x"], "answer": "A"}]),
        (
            "msrvtt_qa",
            [{"video_id": 7010, "question": "x", "answer": "x", "category_id": 1, "id": 1}],
        ),
        ("msvd_qa", [{"video_id": 1701, "question": "x", "answer": "x", "id": 1}]),
        ("activitynet_qa", [{"video_name": "a", "question": "x", "question_id": "v_a_1"}]),
        ("activitynet", {"v_a": EVENTS}),
        ("msrvtt", {"videos": [], "sentences": []}),
        ("captions", [{"video": "a.mp4", "caption": ["x", "y"]}]),
        ("columns", [{"video": "a.mp4", "question": "x", "answer": "x"}]),
        ("columns", [{"video_id": "v_a", "question": "x", "answer": "x"}]),
        ("columns", [{"path": "a.mp4", "label": "x"}]),
    ],
)
def test_each_is_told_from_all_others(name: str, content: object, tmp_path: Path) -> None:
    assert detect_format(Origin(write_json(tmp_path / "t.json", content))) == name


def test_other_files_are_told_too(tmp_path: Path) -> None:
    lines = tmp_path / "charades_sta_train.txt"
    lines.write_text("AO8RW 0.0 6.9##a person puts a book down.\n", encoding="utf-8")
    assert detect_format(Origin(lines)) == "charades_sta"
    make_files(tmp_path, "root/run/a.mp4", "root/jump/b.mp4")
    assert detect_format(Origin(tmp_path / "root")) == "class_folders"


def test_a_folder_that_no_format_recognises(tmp_path: Path) -> None:
    make_files(tmp_path, "a.mp4")
    with pytest.raises(ManifestError, match="without class folders of videos and without a data"):
        detect_format(Origin(tmp_path))


def test_named_columns_are_those_of_a_table(tmp_path: Path) -> None:
    path = write_json(tmp_path / "t.json", [{"messages": [], "x": "a.mp4", "y": "Rain."}])
    assert detect_format(Origin(path)) == "messages"
    assert detect_format(Origin(path, columns={"video": "x", "answer": "y"})) == "columns"
