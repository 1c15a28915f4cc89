"""NExT-QA, EgoSchema and STAR become multiple-choice questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fixtures_benchmarks import asked, make_files, outcome, recognised, shown_path, write_json
from flipbook.data.formats.choice_benchmarks import read_egoschema, read_nextqa, read_star
from flipbook.data.formats.origin import Origin

NEXTQA = """\
video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4
4010069381,369,640,480,how do the men play,0,6,CH,roll the handle,tap,strum,hit,pat
4010069381,369,640,480,where are they,4,7,DL,pool,field,desert,room,stage
2435100235,1906,640,480,why does he stop,9,7,CW,a,b,c,d,e
1111111111,10,640,480,why is it gone,1,0,CW,a,b,c,d,e
2435100235,1906,640,480,why so few
"""
UID = "00b9a0de-c59e-49cb-a127-6081e2fb8c8e"
STAR = {
    "question_id": "Interaction_T1_4",
    "question": "Which object was eaten by the person?",
    "video_id": "TJZ0P",
    "start": 7.7,
    "end": 15.7,
    "answer": "The sandwich.",
    "question_program": [{"function": "Situations", "value_input": []}],
    "choices": [
        {"choice_id": 0, "choice": "The blanket.", "choice_program": []},
        {"choice_id": 1, "choice": "The sandwich.", "choice_program": []},
    ],
    "situations": {"000188": {"rel_pairs": []}},
}


def egoschema(uid: str, **changes: Any) -> dict[str, Any]:
    options = {f"option {place}": f"C does {place}." for place in range(5)}
    row = {"q_uid": uid, "google_drive_id": "1Wl-", "question": "What is C doing?"}
    return row | options | changes


def test_nextqa(tmp_path: Path) -> None:
    make_files(tmp_path, "NExTVideo/1164/4010069381.mp4", "NExTVideo/0001/2435100235.mp4")
    path = tmp_path / "val.csv"
    path.write_text(NEXTQA, encoding="utf-8")
    assert recognised(path) == ["nextqa"]
    records, errors = outcome(read_nextqa, Origin(path))
    assert list(records) == ["4010069381_6", "4010069381_7"]
    first, second = records.values()
    assert asked(first)[0].startswith("how do the men play\nA. roll the handle\nB. tap\n")
    assert [asked(record)[1] for record in (first, second)] == ["A", "E"]
    assert first.extras.options == ("roll the handle", "tap", "strum", "hit", "pat")
    assert first.extras.answer == "roll the handle"
    assert first.extras.kind == "multiple_choice"
    assert (first.extras.task, second.extras.task) == ("nextqa_CH", "nextqa_DL")
    assert (first.extras.group, first.extras.split) == ("4010069381", "validation")
    assert shown_path(first, tmp_path) == "NExTVideo/1164/4010069381.mp4"
    assert errors[0] == "record 2435100235_7: 'answer' is '9'; it must be a number from 0 to 4"
    assert errors[1].startswith("record 1111111111_0: no video '1111111111' in ")
    assert errors[2].startswith("record val.csv:5: has 5 fields where the first line names 13")


def test_the_map_of_nextqa_tells_two_files_of_a_name_apart(tmp_path: Path) -> None:
    make_files(tmp_path, "1164/4010069381.mp4", "copies/4010069381.mp4")
    path = tmp_path / "val.csv"
    path.write_text("\n".join(NEXTQA.splitlines()[:2]) + "\n", encoding="utf-8")
    _, errors = outcome(read_nextqa, Origin(path))
    assert "several files are called '4010069381'" in errors[0]
    write_json(tmp_path / "map_vid_vidorID.json", {"4010069381": "1164/4010069381"})
    records, _ = outcome(read_nextqa, Origin(path))
    assert shown_path(records["4010069381_6"], tmp_path) == "1164/4010069381.mp4"


def test_egoschema_takes_answers_from_beside(tmp_path: Path) -> None:
    make_files(tmp_path, f"videos/{UID}.mp4")
    path = write_json(tmp_path / "questions.json", [egoschema(UID), egoschema("unknown")])
    assert recognised(path) == ["egoschema"]
    write_json(tmp_path / "subset_answers.json", {UID: 4})
    records, errors = outcome(read_egoschema, Origin(path))
    record = records[UID]
    assert asked(record)[0].startswith("What is C doing?\nA. C does 0.\nB. C does 1.")
    assert (asked(record)[1], record.extras.answer) == ("E", "C does 4.")
    assert record.extras.options == tuple(f"C does {place}." for place in range(5))
    assert (record.extras.task, record.extras.group, record.extras.split) == (
        "egoschema",
        UID,
        None,
    )
    assert errors == [
        "record unknown: has no answer: subset_answers.json has those of 500 questions; name "
        "another file of them with --answers, or leave this question out"
    ]


def test_egoschema_takes_answers_from_elsewhere(tmp_path: Path) -> None:
    make_files(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    rows = [egoschema("a"), egoschema("b", answer=2), egoschema("c")]
    path = write_json(tmp_path / "questions.json", rows)
    answers = write_json(tmp_path / "mine.json", {"a": 1, "c": 7})
    write_json(tmp_path / "uid_to_ego4d.json", {"a": {"video_uid": "film"}, "b": "odd"})
    records, errors = outcome(read_egoschema, Origin(path, answers=answers))
    assert [asked(record)[1] for record in records.values()] == ["B", "C"]
    assert [record.extras.group for record in records.values()] == ["film", "b"]
    assert errors == ["record c: 'answer' is '7'; it must be a number from 0 to 4"]


def test_star_shows_the_stretch_that_is_asked_about(tmp_path: Path) -> None:
    make_files(tmp_path, "Charades_v1_480/TJZ0P.mp4")
    rows = [
        STAR,
        {name: value for name, value in STAR.items() if name != "answer"} | {"question_id": "T_2"},
        STAR | {"question_id": "T_3", "choices": "none"},
        STAR | {"question_id": "T_4", "answer": "The dish."},
        STAR | {"question_id": "T_5", "choices": [{"choice": "The sandwich."}, {"choice": ""}]},
    ]
    path = write_json(tmp_path / "STAR_train.json", rows)
    assert recognised(path) == ["star"]
    records, errors = outcome(read_star, Origin(path))
    (record,) = records.values()
    assert record.id == "Interaction_T1_4"
    assert asked(record)[0].startswith(
        "Which object was eaten by the person?\nA. The blanket.\nB. The sandwich.\nAnswer"
    )
    assert (asked(record)[1], record.extras.answer) == ("B", "The sandwich.")
    assert (record.media[0].view.start_s, record.media[0].view.end_s) == (7.7, 15.7)
    assert (record.extras.task, record.extras.group) == ("star_Interaction", "TJZ0P")
    assert record.extras.split == "train"
    assert [error.split(";")[0] for error in errors] == [
        "record T_2: has no 'answer'",
        "record T_3: 'choices' is str",
        "record T_4: 'answer' is 'The dish.'",
        "record T_5: has no 'choices'",
    ]
