"""Clips that several people described become captions with references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures_benchmarks import asked, make_files, outcome, recognised, shown_path, write_json
from flipbook.data.formats.captions import read_captions, read_msrvtt
from flipbook.data.formats.origin import Origin
from flipbook.errors import ManifestError

MSRVTT: dict[str, Any] = {
    "info": {"year": "2016", "version": "1.0"},
    "videos": [
        {
            "category": 9,
            "url": "https://www.youtube.com/watch?v=9lZi22qLlEo",
            "video_id": "video0",
            "start time": 137.72,
            "end time": 149.44,
            "split": "train",
            "id": 0,
        },
        {"video_id": "video6513", "split": "validate", "id": 6513},
        {"video_id": "video7010", "split": "test", "id": 7010},
    ],
    "sentences": [
        {"caption": "a car is shown", "video_id": "video0", "sen_id": 0},
        {"caption": "a dog runs", "video_id": "video7010", "sen_id": 5},
        {"caption": "a man drives", "video_id": "video0", "sen_id": 1},
        {"caption": "a car is shown", "video_id": "video0", "sen_id": 2},
        {"caption": "a brown dog is running", "video_id": "video7010", "sen_id": 6},
        {"caption": "a cook", "video_id": "video6513", "sen_id": 7},
    ],
}


def test_msrvtt_trains_on_every_caption_and_judges_each_clip_once(tmp_path: Path) -> None:
    make_files(tmp_path, "all/video0.mp4", "all/video6513.mp4", "all/video7010.mp4")
    path = write_json(tmp_path / "train_val_videodatainfo.json", MSRVTT)
    assert recognised(path) == ["msrvtt"]
    records, errors = outcome(read_msrvtt, Origin(path))
    assert not errors
    assert list(records) == ["video0_0", "video0_1", "video0_2", "video6513", "video7010"]
    assert [asked(record) for record in records.values()] == [
        ("Describe this video.", "a car is shown"),
        ("Describe this video.", "a man drives"),
        ("Describe this video.", "a car is shown"),
        ("Describe this video.", "a cook"),
        ("Describe this video.", "a dog runs"),
    ]
    trained, judged = records["video0_1"], records["video7010"]
    assert (trained.extras.split, judged.extras.split) == ("train", "test")
    assert records["video6513"].extras.split == "validation"
    assert trained.extras.references == ("a car is shown", "a man drives")
    assert judged.extras.references == ("a dog runs", "a brown dog is running")
    assert (trained.extras.answer, judged.extras.answer) == ("a man drives", "a dog runs")
    assert (trained.extras.kind, trained.extras.group) == ("caption", "video0")
    assert shown_path(trained, tmp_path) == "all/video0.mp4"
    assert trained.media[0].view.start_s is None  # the files are cut already


def test_what_is_wrong_in_msrvtt_is_told_of(tmp_path: Path) -> None:
    make_files(tmp_path, "video0.mp4", "video1.mp4")
    content = {
        "videos": [{"video_id": "video0"}, {"video_id": "video1"}, "text", {"video_id": "video2"}],
        "sentences": [
            {"video_id": "video0", "caption": "a car"},
            {"video_id": "video0", "caption": " "},
            {"video_id": "video9", "caption": "a dog"},
            {"video_id": ["odd"], "caption": "a dog"},
            None,
        ],
    }
    path = write_json(tmp_path / "test_info.json", content)
    records, errors = outcome(read_msrvtt, Origin(path, prompt="What is it?"))
    assert [asked(record) for record in records.values()] == [("What is it?", "a car")]
    assert records["video0"].extras.split == "test"
    assert errors[0] == "record video1: has no sentence; add one or remove the video"
    assert errors[1] == ("record test_info.json:videos:3: is str; it must be an object with keys")
    assert errors[2].startswith("record video2: no video 'video2' in ")
    assert errors[3:] == [
        "record video9: has sentences and is not listed under 'videos'; add it",
        "record test_info.json:sentences:2: has no 'caption'; add it or remove the row",
        "record test_info.json:sentences:4: 'video_id' is ['odd']; it must be text",
        "record test_info.json:sentences:5: is NoneType; it must be an object with keys",
    ]


def test_msrvtt_without_lists_is_refused(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"videos": [], "sentences": {}})
    with pytest.raises(ManifestError, match="'sentences' must be a list of objects; mend it"):
        list(read_msrvtt(Origin(path)))


def test_a_list_of_clips_with_their_captions(tmp_path: Path) -> None:
    make_files(tmp_path, "video0.mp4", "video1.mp4", "b/c.mp4")
    rows: list[Any] = [
        {
            "video_id": "video0",
            "video": "video0.mp4",
            "caption": ["a car", "a man drives"],
            "source": "MSR-VTT",
            "category": 0,
            "url": "https://www.youtube.com/watch?v=example1",
            "start time": 137.72,
            "end time": 149.44,
            "id": 0,
        },
        {"video": "c.mp4", "caption": "one only"},
        {"video": "video1.mp4", "caption": []},
        {"video": "gone.mp4", "caption": "a"},
        {"video": "video1.mp4"},
        {"video": "video1.mp4", "caption": ["a", 7, None]},
    ]
    path = write_json(tmp_path / "msrvtt_train_7k.json", rows[:2])
    assert recognised(path) == ["captions"]
    write_json(path, rows)
    records, errors = outcome(read_captions, Origin(path))
    assert [(record.id, asked(record)[1]) for record in records.values()] == [
        ("video0_0", "a car"),
        ("video0_1", "a man drives"),
        ("c", "one only"),
    ]
    first = records["video0_0"]
    assert first.extras.references == ("a car", "a man drives")
    assert (first.extras.group, first.extras.split) == ("video0", "train")
    assert first.media[0].view.end_s is None
    assert shown_path(records["c"], tmp_path) == "b/c.mp4"
    assert [error.split(";")[0] for error in errors] == [
        "record video1: 'caption' is an empty list",
        f"record gone: no video 'gone.mp4' in {tmp_path}",
        "record video1: has no 'caption'",
        "record video1: has no 'caption'",
    ]


def test_a_judged_clip_of_a_list_is_one_row(tmp_path: Path) -> None:
    make_files(tmp_path, "a.mp4")
    path = write_json(tmp_path / "clips.json", [{"video": "a.mp4", "captions": ["x", "y"]}])
    assert list(outcome(read_captions, Origin(path)).records) == ["a_0", "a_1"]
    path = write_json(tmp_path / "clips_test.json", [{"video": "a.mp4", "captions": ["x", "y"]}])
    (record,) = outcome(read_captions, Origin(path)).records.values()
    assert (record.id, record.extras.references) == ("a", ("x", "y"))


def test_rows_that_ask_are_no_captions(tmp_path: Path) -> None:
    row = {"video": "a.mp4", "caption": "x", "question": "?", "answer": "y"}
    assert recognised(write_json(tmp_path / "a.json", [row])) == []
