"""Multiple-choice questions of any file, and those of MVBench."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures_benchmarks import asked, make_files, outcome, recognised, shown_path, write_json
from flipbook.data.formats.choices import (
    choice_row,
    options_in,
    read_choices,
    read_mvbench,
    right_option,
)
from flipbook.data.formats.origin import Origin
from flipbook.errors import RecordError

OPTIONS = ["Teal.", "Red.", "Black."]
ACTION_SEQUENCE = {
    "video": "ZS9XR.mp4",
    "question": "What happened after the person took the food?",
    "candidates": ["Ate the medicine.", "Tidied up the blanket.", "Took the box."],
    "answer": "Took the box.",
    "start": 11.1,
    "end": 19.6,
}
VIDEO_MME = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "What color is it?",
    "options": ["A. Teal.", "B. Red.", "C. Black."],
    "answer": "C",
}


def plain(**changes: Any) -> dict[str, Any]:
    row = {"video": "a.mp4", "question": "What color is it?", "options": OPTIONS, "answer": "B"}
    return row | changes


def test_a_task_of_mvbench(tmp_path: Path) -> None:
    make_files(tmp_path, "star/Charades_v1_480/ZS9XR.mp4", "perception/video_1.mp4")
    whole = {"video": "video_1.mp4", "question": "How many?", "candidates": ["3", "0", "2"]}
    rows = [ACTION_SEQUENCE, whole | {"answer": "2"}]
    path = write_json(tmp_path / "action_sequence.json", rows)
    assert recognised(path) == ["mvbench"]
    records, errors = outcome(read_mvbench, Origin(path))
    assert not errors
    first, second = records.values()
    assert list(records) == ["action_sequence.json:1", "action_sequence.json:2"]
    assert asked(first) == (
        "What happened after the person took the food?\nA. Ate the medicine.\n"
        "B. Tidied up the blanket.\nC. Took the box.\n"
        "Answer with the option's letter from the given choices directly.",
        "C",
    )
    assert shown_path(first, tmp_path) == "star/Charades_v1_480/ZS9XR.mp4"
    assert (first.media[0].view.start_s, first.media[0].view.end_s) == (11.1, 19.6)
    assert first.extras.kind == "multiple_choice"
    assert first.extras.options == tuple(ACTION_SEQUENCE["candidates"])  # type: ignore[arg-type]
    assert first.extras.answer == "Took the box."
    assert (first.extras.task, first.extras.group) == ("action_sequence", "ZS9XR")
    assert asked(second)[1] == "C"  # the text 2, not the place 2
    assert (second.extras.answer, second.media[0].view.start_s) == ("2", None)


def test_a_clip_of_mvbench_may_be_a_folder_of_pictures(tmp_path: Path) -> None:
    make_files(tmp_path, "tvqa/castle_s01_clip_13/00001.jpg", "tvqa/castle_s01_clip_13/00002.jpg")
    row = ACTION_SEQUENCE | {"video": "castle_s01_clip_13", "start": 0, "end": 20.2, "fps": 3}
    path = write_json(tmp_path / "episodic_reasoning.json", [row, row | {"video": "gone"}])
    records, errors = outcome(read_mvbench, Origin(path))
    (record,) = records.values()
    assert shown_path(record, tmp_path) == "tvqa/castle_s01_clip_13"
    view = record.media[0].view
    assert (view.frames_fps, view.start_s, view.end_s) == (3, 0, 20.2)
    assert errors[0].startswith("record episodic_reasoning.json:2: no video 'gone' in ")
    bare = {name: value for name, value in row.items() if name != "fps"}
    write_json(path, [bare | {"video": "tvqa/castle_s01_clip_13"}])
    records, _ = outcome(read_mvbench, Origin(path, frames_fps=2.0))
    assert next(iter(records.values())).media[0].view.frames_fps == 2


def test_letters_before_options_are_taken_off(tmp_path: Path) -> None:
    make_files(tmp_path, "fFjv93ACGo8.mp4")
    path = write_json(tmp_path / "test.json", [VIDEO_MME])
    assert recognised(path) == ["choices"]
    records, errors = outcome(read_choices, Origin(path))
    assert not errors
    record = records["001-1"]
    assert asked(record)[1] == "C"
    assert asked(record)[0].startswith("What color is it?\nA. Teal.\nB. Red.\nC. Black.\nAnswer")
    assert (record.extras.options, record.extras.answer) == (tuple(OPTIONS), "Black.")
    assert (record.extras.task, record.extras.split) == ("Counting Problem", "test")
    assert record.extras.group == "fFjv93ACGo8"


def test_rows_with_places_and_stretches(tmp_path: Path) -> None:
    make_files(tmp_path, "videos/a.mp4")
    rows = [
        plain(id="long", video=None, video_path="a.mp4", answer=None, correct_choice=2, start=1.5),
        plain(id="dict", options={"A": "Teal.", "B": "Red."}, answer="Red.", split="val", end_s=4),
    ]
    path = write_json(tmp_path / "lvb.json", rows)
    records, errors = outcome(read_choices, Origin(path))
    assert not errors
    assert (records["long"].extras.answer, asked(records["long"])[1]) == ("Black.", "C")
    assert records["long"].media[0].view.start_s == 1.5
    assert (records["dict"].extras.options, records["dict"].extras.split) == (
        ("Teal.", "Red."),
        "validation",
    )
    assert records["dict"].media[0].view.end_s == 4


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ("B", 1),
        ("b", 1),
        ("(C)", 2),
        ("A.", 0),
        (2, 2),
        ("2", 2),
        ("Red.", 1),
        (" Red. ", 1),
        ("B. Red.", 1),
    ],
)
def test_an_answer_is_a_letter_a_place_or_a_text(answer: object, place: int) -> None:
    assert right_option(answer, OPTIONS, "x") == place


def test_a_text_comes_before_a_letter_and_a_place() -> None:
    assert right_option("B", ["B", "A"], "x") == 0
    assert right_option("2", ["2", "0", "1"], "x") == 0
    assert right_option(5, ["5", "6"], "x") == 0  # no place


@pytest.mark.parametrize(
    ("answer", "options", "message"),
    [
        ("D", OPTIONS, "'answer' is 'D'; write the letter, the place from 0, or the text of one"),
        (3, OPTIONS, "'answer' is 3; write the letter"),
        (-1, OPTIONS, "'answer' is -1; write the letter"),
        ("Blue", OPTIONS, "'answer' is 'Blue'; write the letter"),
        (None, OPTIONS, "has no 'answer'; add it or remove the row"),
        (True, OPTIONS, "'answer' is True; it must be text"),
        (0, ["1", "0"], "'answer' is 0, which may be the place of an option, from 0, or the text"),
    ],
)
def test_an_answer_that_means_no_option_is_refused(
    answer: object, options: list[str], message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        right_option(answer, options, "x")


def test_options_are_texts_or_numbers() -> None:
    assert options_in({"o": [1, 2.5, " c "]}, "o", "x") == ["1", "2.5", "c"]
    assert options_in({"o": ["(A) a", "(B) b"]}, "o", "x") == ["a", "b"]
    kept = ["A. Smith", "C. Jones"]
    assert options_in({"o": kept}, "o", "x") == kept
    assert options_in({"o": ["A. a", "B. "]}, "o", "x") == ["A. a", "B."]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (None, "'o' is None; it must be a list of options"),
        ("a, b", "'o' is 'a, b'; it must be a list of options"),
        ([], r"'o' is \[\]; it must be a list of options"),
        (["a", ""], "has no 'o'; add it or remove the row"),
        (["a", ["b"]], "it must be text"),
    ],
)
def test_what_is_no_list_of_options_is_refused(options: object, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        options_in({"o": options}, "o", "x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["a"], r"has the options \['a'\]; it needs two"),
        (["a", "b", "a"], "the right option 'a' is there twice; remove one of them"),
        ([str(number) for number in range(27)], "has 27 options, and there are 26 letters; remove"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: list[str], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        choice_row("x", clip={"path": "a.mp4"}, question="?", options=options, right=0)


def test_bad_rows_have_a_verdict_each(tmp_path: Path) -> None:
    make_files(tmp_path, "a.mp4")
    rows = [
        plain(id="good"),
        plain(id="gone", video="b.mp4"),
        plain(id="mute", question=" "),
        plain(id="late", start=5, end=2),
        plain(id="odd", start="00:10"),
        plain(id=["odd"], answer="Z"),
        "text",
        plain(id="nameless", video=None),
    ]
    path = write_json(tmp_path / "rows.json", rows)
    records, errors = outcome(read_choices, Origin(path))
    assert list(records) == ["good"]
    starts = [
        "record gone: no video 'b.mp4'",
        "record mute: has no 'question'",
        "record late: 'end' is 2 and 'start' is 5: the end must come after the start",
        "record odd: 'start' is '00:10'; it must be seconds, from 0 on",
        "record rows.json:6: 'answer' is 'Z'",
        "record rows.json:7: is str; a row must be an object with keys",
        "record nameless: the name of its video is None",
    ]
    assert len(errors) == len(starts)
    for error, start in zip(errors, starts, strict=True):
        assert error.startswith(start)
    bad = write_json(tmp_path / "task.json", [ACTION_SEQUENCE | {"video": "a.mp4", "answer": "D"}])
    assert (
        outcome(read_mvbench, Origin(bad))
        .errors[0]
        .startswith("record task.json:1: 'answer' is 'D', which is none of [")
    )
