"""Labels, feedbacks and questions of QEVD become rows about its clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fixtures_benchmarks import asked, make_files, outcome, recognised, shown_path, write_json
from flipbook.data.formats.origin import Origin
from flipbook.data.formats.prompts import FEEDBACK_PROMPT
from flipbook.data.formats.qevd import read_qevd


def label(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "video_path": f"./{number:08d}.mp4",
        "labels": ["squats - shallow", "squats - too fast"],
        "labels_descriptive": [
            "squats - User does not squat low enough",
            "squats - User moves too fast",
        ],
        "split": "train",
    } | changes


def test_descriptions_of_a_clip_are_one_answer(tmp_path: Path) -> None:
    make_files(tmp_path, "QEVD-FIT-300k-Part-1/00000000.mp4", "part 2/00000007.mp4")
    rows = [label(0), label(7, labels_descriptive=[], split="test"), label(9)]
    path = write_json(tmp_path / "fine_grained_labels.json", rows)
    assert recognised(path) == ["qevd"]
    records, errors = outcome(read_qevd, Origin(path))
    assert list(records) == ["00000000", "00000007"]
    first, second = records.values()
    both = "squats - User does not squat low enough\nsquats - User moves too fast"
    assert asked(first) == (FEEDBACK_PROMPT, both)
    assert asked(second)[1] == "squats - shallow\nsquats - too fast"
    assert (first.extras.kind, first.extras.task) == ("feedback", "qevd_labels")
    assert (first.extras.answer, first.extras.references) == (both, (both,))
    assert (first.extras.split, second.extras.split) == ("train", "test")
    assert first.extras.group == "00000000"
    assert shown_path(first, tmp_path) == "QEVD-FIT-300k-Part-1/00000000.mp4"
    assert errors[0].startswith("record 00000009: no video './00000009.mp4' in ")


def test_a_prompt_of_ones_own_is_asked(tmp_path: Path) -> None:
    make_files(tmp_path, "squats/00000000.mp4")
    row = label(0, video_path="squats/00000000.mp4", labels_descriptive="Go deeper.")
    path = write_json(tmp_path / "ground_truth.json", [row])
    prompt = "Analyze this squats video and provide corrective feedback."
    (record,) = outcome(read_qevd, Origin(path, prompt=prompt)).records.values()
    assert asked(record) == (prompt, "Go deeper.")


def test_the_person_is_the_group_where_it_is_known(tmp_path: Path) -> None:
    make_files(tmp_path, "00000000.mp4", "00000001.mp4", "00000002.mp4")
    rows = [label(0), label(1, worker_id=4), label(2)]
    path = write_json(tmp_path / "fine_grained_labels.json", rows)
    workers = [{"video_path": "./00000000.mp4", "worker_id": 1750}, "text", {"worker_id": None}]
    write_json(tmp_path / "fine_grained_labels_with_worker_ids.json", workers)
    records, _ = outcome(read_qevd, Origin(path))
    groups = [record.extras.group for record in records.values()]
    assert groups == ["person_1750", "person_4", "00000002"]


def test_each_feedback_is_an_answer_of_its_own(tmp_path: Path) -> None:
    make_files(tmp_path, "00000000.mp4", "00000001.mp4", "00000002.mp4")
    rows: list[Any] = [
        {"video_path": "./00000000.mp4", "feedback": ["Go deeper.", "Slow down!"]},
        {"video_path": "./00000001.mp4", "feedback": ["Nice!", "Well done."], "split": "test"},
        {"video_path": "./00000002.mp4", "feedback": []},
        {"video_path": None, "feedback": ["Nice!"]},
    ]
    rows[0]["split"] = "train"
    path = write_json(tmp_path / "feedbacks_short_clips.json", rows)
    assert recognised(path) == ["qevd"]
    records, errors = outcome(read_qevd, Origin(path))
    assert [(record.id, asked(record)[1]) for record in records.values()] == [
        ("00000000_0", "Go deeper."),
        ("00000000_1", "Slow down!"),
        ("00000001", "Nice!"),
    ]
    assert records["00000000_1"].extras.references == ("Go deeper.", "Slow down!")
    assert records["00000001"].extras.references == ("Nice!", "Well done.")
    assert {record.extras.kind for record in records.values()} == {"feedback"}
    assert {record.extras.task for record in records.values()} == {"qevd_feedback"}
    assert [record.extras.group for record in records.values()] == [
        "00000000",
        "00000000",
        "00000001",
    ]
    assert errors == [
        "record 00000002: 'feedback' is an empty list; add to it or remove the row",
        "record feedbacks_short_clips.json:4: has no 'video_path'; add it or remove the row",
    ]


def test_questions_are_asked_one_by_one(tmp_path: Path) -> None:
    make_files(tmp_path, "00000000.mp4")
    asks = {
        "query": ["Which exercise is it?", "Is it fast?", ""],
        "response": ["Squats.", "No.", "?"],
    }
    rows = [
        {
            "video_path": "./00000000.mp4",
            "split": "train",
            "high_level": asks | {"query_type": ["what", "speed", "none"]},
            "fine_grain": {"query": ["Where are the knees?"], "response": []},
        },
        {"video_path": "./00000000.mp4", "split": "train", "fine_grain": "none"},
    ]
    path = write_json(tmp_path / "questions.json", rows)
    assert recognised(path) == ["qevd"]
    records, errors = outcome(read_qevd, Origin(path))
    assert list(records) == ["00000000_high_level_0", "00000000_high_level_1"]
    first, second = records.values()
    assert asked(first) == ("Which exercise is it?", "Squats.")
    assert asked(second) == ("Is it fast?", "No.")
    assert (first.extras.kind, first.extras.task) == ("open", "qevd_high_level")
    assert (first.extras.split, first.extras.group) == ("train", "00000000")
    assert errors == [
        "record 00000000_high_level_2: has no 'query'; add it or remove the row",
        "record 00000000_fine_grain: has 1 queries and 0 responses; mend it",
        "record 00000000_fine_grain: has no lists of 'query' and 'response'; add them",
    ]
