"""MSRVTT-QA, MSVD-QA and ActivityNet-QA become open questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures_benchmarks import asked, make_files, outcome, recognised, shown_path, write_json
from flipbook.data.formats.open_qa import read_activitynet_qa, read_msrvtt_qa, read_msvd_qa
from flipbook.data.formats.origin import Origin
from flipbook.errors import ManifestError

MSRVTT = {
    "answer": "couch",
    "category_id": 14,
    "id": 158581,
    "question": "what are three people sitting on?",
    "video_id": 6513,
}
MSVD = {"answer": "chew", "id": 30933, "question": "what does a cat do?", "video_id": 1201}
QUESTIONS = [
    {"question": "what color is it", "question_id": "v_1QI_8", "video_name": "1QIUV7WYKXg"},
    {"question": "what happens first", "question_id": "v_1QI_9", "video_name": "1QIUV7WYKXg"},
    {"question": "who is it", "question_id": "v_gone_0", "video_name": "gone"},
    {"question": "who is it", "question_id": "v_1QI_1", "video_name": "1QIUV7WYKXg"},
    {"question": "who is it", "question_id": "v_1QI_2", "video_name": "1QIUV7WYKXg"},
]
ANSWERS = [
    {"answer": "pink", "question_id": "v_1QI_8", "type": 4},
    {"answer": "no", "question_id": "v_1QI_9", "type": 2},
    {"answer": "she", "question_id": "v_gone_0", "type": 8},
    {"answer": "she", "question_id": "v_1QI_2", "type": "8"},
]


def test_msrvtt_qa(tmp_path: Path) -> None:
    make_files(tmp_path, "TrainValVideo/video6513.mp4")
    rows: list[Any] = [
        MSRVTT,
        MSRVTT | {"id": 2, "video_id": 7},
        MSRVTT | {"id": 3, "answer": ""},
        MSRVTT | {"id": None, "question": None},
    ]
    path = write_json(tmp_path / "val_qa.json", rows)
    assert recognised(path) == ["msrvtt_qa"]
    records, errors = outcome(read_msrvtt_qa, Origin(path))
    (record,) = records.values()
    assert record.id == "msrvtt_qa_158581"
    assert asked(record) == ("what are three people sitting on?", "couch")
    assert (record.extras.kind, record.extras.answer) == ("open", "couch")
    assert (record.extras.task, record.extras.group) == ("msrvtt_qa", "video6513")
    assert record.extras.split == "validation"
    assert shown_path(record, tmp_path) == "TrainValVideo/video6513.mp4"
    assert errors[0].startswith("record msrvtt_qa_2: no video 'video7' in ")
    assert errors[1] == "record msrvtt_qa_3: has no 'answer'; add it or remove the row"
    assert errors[2].startswith("record val_qa.json:4: has no 'question'")


def test_msvd_qa_by_numbered_files(tmp_path: Path) -> None:
    make_files(tmp_path, "vid1201.avi")
    path = write_json(tmp_path / "train_qa.json", [MSVD])
    assert recognised(path) == ["msvd_qa"]
    (record,) = outcome(read_msvd_qa, Origin(path)).records.values()
    assert asked(record) == ("what does a cat do?", "chew")
    assert (record.extras.task, record.extras.group) == ("msvd_qa", "vid1201")
    assert (record.extras.kind, record.extras.split) == ("open", "train")


def test_msvd_qa_by_names_of_where_files_were_found(tmp_path: Path) -> None:
    make_files(tmp_path, "YouTubeClips/mv89psg6zh4_33_46.avi")
    mapping = tmp_path / "youtube_mapping.txt"
    mapping.write_text("mv89psg6zh4_33_46 vid1201\nnV1ehsaAV-g_0_10 vid2\n", encoding="utf-8")
    path = write_json(tmp_path / "train_qa.json", [MSVD, MSVD | {"id": 2, "video_id": 2}])
    records, errors = outcome(read_msvd_qa, Origin(path))
    record = records["msvd_qa_30933"]
    assert shown_path(record, tmp_path) == "YouTubeClips/mv89psg6zh4_33_46.avi"
    assert record.extras.group == "mv89psg6zh4"
    assert errors[0].startswith("record msvd_qa_2: no video 'vid2' in ")


def test_rows_that_name_no_number_are_not_those_of_msvd_qa(tmp_path: Path) -> None:
    path = write_json(tmp_path / "train.json", [MSVD | {"video_id": "kitchen"}])
    assert recognised(path) == []


def test_activitynet_qa_joins_questions_and_answers(tmp_path: Path) -> None:
    make_files(tmp_path, "videos/v_1QIUV7WYKXg.mp4")
    path = write_json(tmp_path / "val_q.json", QUESTIONS)
    write_json(tmp_path / "val_a.json", ANSWERS)
    assert recognised(path) == ["activitynet_qa"]
    records, errors = outcome(read_activitynet_qa, Origin(path))
    assert list(records) == ["v_1QI_8", "v_1QI_9"]
    first, second = records.values()
    assert asked(first) == ("what color is it", "pink")
    assert (first.extras.task, second.extras.task) == (
        "activitynet_qa_color",
        "activitynet_qa_temporal",
    )
    assert (first.extras.kind, first.extras.group) == ("open", "1QIUV7WYKXg")
    assert first.extras.split == "validation"
    assert shown_path(first, tmp_path) == "videos/v_1QIUV7WYKXg.mp4"
    assert errors[0].startswith("record v_gone_0: no video 'v_gone' in ")
    assert errors[1] == f"record v_1QI_1: has no answer in {tmp_path / 'val_a.json'}; add it"
    assert errors[2] == (
        "record v_1QI_2: the 'type' of its answer is '8'; it must be a number from 0 to 8"
    )


def test_answers_of_activitynet_qa_may_lie_elsewhere(tmp_path: Path) -> None:
    make_files(tmp_path, "1QIUV7WYKXg.mkv")
    path = write_json(tmp_path / "mine.json", QUESTIONS[:1])
    answers = write_json(tmp_path / "right.json", ANSWERS)
    records, errors = outcome(read_activitynet_qa, Origin(path, answers=answers))
    assert (list(records), errors) == (["v_1QI_8"], [])


def test_activitynet_qa_without_its_second_file_is_refused(tmp_path: Path) -> None:
    path = write_json(tmp_path / "val_q.json", QUESTIONS)
    with pytest.raises(ManifestError, match=r"and no val_a.json with them lies beside it; name it"):
        list(read_activitynet_qa(Origin(path)))
    answers = write_json(tmp_path / "val_a.json", [ANSWERS[0], "text"])
    with pytest.raises(ManifestError, match="row 2 is no object with 'question_id'; mend it"):
        list(read_activitynet_qa(Origin(path)))
    assert recognised(write_json(answers, ANSWERS)) == ["activitynet_qa"]
    with pytest.raises(ManifestError, match=r"holds answers; name the file of questions, val_q"):
        list(read_activitynet_qa(Origin(answers)))
