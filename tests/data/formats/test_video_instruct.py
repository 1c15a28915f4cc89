"""Questions that name their video by an id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures_benchmarks import asked, make_files, outcome, shown_path, write_json
from flipbook.data.formats.origin import Origin
from flipbook.data.formats.table import detect_format
from flipbook.data.formats.video_instruct import read_video_instruct

VIDEO_INSTRUCT = {"q": "What is in the video?", "a": "A pumpkin.", "video_id": "v_k_ZXmr8pmrs"}
VIDEO_CHAT2 = {
    "video": "k710/abseiling/a.mp4",
    "QA": [
        {"i": "Answer in a word.", "q": "What is it?", "a": "Abseiling"},
        {"i": "", "q": "Who is seen?", "a": "A man."},
        {"i": "Describe the clip.", "q": "", "a": "A man on a rope."},
    ],
}
VCG_BENCH = {"Q": "What happens?", "A": "A dive.", "video_name": "v_p1QGn0IzfW0"}
VIDEO_CHATGPT = {"question": "What happens?", "answer": "A dive.", "video_name": "v_p1QGn0IzfW0"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_files(
        tmp_path,
        "Activity_Videos/v_k_ZXmr8pmrs.mkv",
        "Activity_Videos/v_p1QGn0IzfW0.mp4",
        "k710/abseiling/a.mp4",
    )


@pytest.mark.parametrize(
    ("row", "words", "path"),
    [
        (
            VIDEO_INSTRUCT,
            ("What is in the video?", "A pumpkin."),
            "Activity_Videos/v_k_ZXmr8pmrs.mkv",
        ),
        (VCG_BENCH, ("What happens?", "A dive."), "Activity_Videos/v_p1QGn0IzfW0.mp4"),
        (VIDEO_CHATGPT, ("What happens?", "A dive."), "Activity_Videos/v_p1QGn0IzfW0.mp4"),
    ],
)
def test_one_question(row: dict[str, Any], words: tuple[str, str], path: str, folder: Path) -> None:
    origin = Origin(write_json(folder / "train.json", [row]))
    assert detect_format(origin) == "video_instruct"
    records, errors = outcome(read_video_instruct, origin)
    assert not errors
    record = records["train.json:1"]
    assert asked(record) == words
    assert shown_path(record, folder) == path
    assert record.extras.group == next(row[key] for key in ("video_id", "video_name") if key in row)


def test_a_list_of_questions(folder: Path) -> None:
    row = VIDEO_CHAT2 | {"start": 1.5, "end": 3}
    origin = Origin(write_json(folder / "train.json", [row]))
    assert detect_format(origin) == "video_instruct"
    records, errors = outcome(read_video_instruct, origin)
    assert not errors
    assert {name: asked(record) for name, record in records.items()} == {
        "train.json:1-1": ("Answer in a word.\nWhat is it?", "Abseiling"),
        "train.json:1-2": ("Who is seen?", "A man."),
        "train.json:1-3": ("Describe the clip.", "A man on a rope."),
    }
    views = {record.media[0].view for record in records.values()}
    assert [(view.start_s, view.end_s) for view in views] == [(1.5, 3.0)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (VIDEO_INSTRUCT | {"video_id": "v_k_ZXmr8pmr"}, "Did you mean 'v_k_ZXmr8pmrs'?"),
        (VIDEO_INSTRUCT | {"q": " "}, "has no 'q'; add it or remove the row"),
        (VIDEO_INSTRUCT | {"q": ["x"]}, "'q' is ['x']; it must be text"),
        (VIDEO_INSTRUCT | {"a": None}, "has no 'a'; add it or remove the row"),
        (VIDEO_CHAT2 | {"QA": []}, "'QA' is []; it must be a list of questions and answers"),
        (VIDEO_CHAT2 | {"QA": [{"q": "", "i": "", "a": "x"}]}, "has no 'q'"),
        (VIDEO_CHAT2 | {"QA": [{"q": 7, "i": {}, "a": "x"}]}, "'i' is {}; it must be text"),
    ],
)
def test_what_is_wrong_is_told(row: dict[str, Any], reason: str, folder: Path) -> None:
    records, errors = outcome(read_video_instruct, Origin(write_json(folder / "train.json", [row])))
    assert not records
    assert len(errors) == 1
    assert reason in errors[0]
