"""Tables: which column holds what, and what its rows become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures_benchmarks import asked, make_files, outcome, shown_path, write_json
from flipbook.data.formats.column_names import (
    check_columns,
    describe_columns,
    guess_columns,
    parse_map,
)
from flipbook.data.formats.columns import columns_of, notes_of_columns, read_columns
from flipbook.data.formats.origin import Origin
from flipbook.data.formats.prompts import CAPTION_PROMPT
from flipbook.data.formats.table import detect_format
from flipbook.errors import ArgumentError, ManifestError, RecordError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_files(
        tmp_path, "clips/a.mp4", "clips/b.mp4", "c.png", "frames/run/1.jpg", "frames/run/2.jpg"
    )


def table(folder: Path, text: str, **said: Any) -> Origin:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return Origin(path, **said)


def test_a_table_whose_columns_are_named_obviously(folder: Path) -> None:
    origin = table(folder, "Path,Question,Answer\nclips/a.mp4,What moves?,A ball.\n")
    assert detect_format(origin) == "columns"
    records, errors = outcome(read_columns, origin)
    assert not errors
    record = records["t.csv:1"]
    assert asked(record) == ("What moves?", "A ball.")
    assert shown_path(record, folder) == "clips/a.mp4"
    assert record.extras.as_dict() == {"kind": "open"}
    assert notes_of_columns(origin) == (
        "columns (guessed; say it with --map): video=Path,question=Question,answer=Answer",
    )


def test_columns_as_told(folder: Path) -> None:
    text = "n,p,q,r,from,to,who,set,sys,t\n7,clips/a.mp4,Why?,Rain.,1,0:02.5,ann,dev,Be brief.,w\n"
    names = "id=n,video=p,question=q,answer=r,start_s=from,end_s=to,group=who,split=set,system=sys"
    origin = table(folder, text, columns=parse_map(f"{names},task=t"))
    assert detect_format(origin) == "columns"
    records, errors = outcome(read_columns, origin)
    assert not errors
    record = records["7"]
    assert [turn.text for turn in record.conversations[0]] == ["Be brief.", "Why?", "Rain."]
    assert (record.media[0].view.start_s, record.media[0].view.end_s) == (1.0, 2.5)
    assert (record.task, record.extras.group, record.extras.split) == ("w", "ann", "validation")
    assert notes_of_columns(origin)[0].startswith("columns (as told): id=n,video=p,")


def test_names_alone_are_looked_for(folder: Path) -> None:
    origin = table(folder, "video,question,answer\na,Why?,Rain.\nb.mp4,Why?,Snow.\nrun,Why?,No.\n")
    (folder / "frames" / "run").rename(folder / "run")
    records, errors = outcome(read_columns, origin)
    assert not errors
    paths = [shown_path(record, folder) for record in records.values()]
    assert paths == ["clips/a.mp4", "clips/b.mp4", "run"]


def test_placeholders_of_a_question_are_the_clip(folder: Path) -> None:
    origin = table(folder, "video,question,answer\na,<video>\\nWhy?,Rain.\n".replace("\\n", " "))
    (record,) = outcome(read_columns, origin).records.values()
    assert asked(record) == ("Why?", "Rain.")


def test_pictures_and_lists(folder: Path) -> None:
    rows = [
        {"images": ["c.png", "clips/a.mp4"], "prompt": "Alike?", "response": 7},
        {"image": "c.png", "prompt": "What?", "response": "A cat."},
        {"video": [["frames/run/1.jpg", "frames/run/2.jpg"]], "prompt": "What?", "response": "x"},
    ]
    reads = [Origin(write_json(folder / f"{n}.json", [row])) for n, row in enumerate(rows)]
    assert [detect_format(origin) for origin in reads] == ["columns"] * 3
    found = [outcome(read_columns, origin) for origin in reads]
    assert not any(item.errors for item in found)
    kinds = [[m.kind for r in item.records.values() for m in r.media] for item in found]
    assert kinds == [["image", "video"], ["image"], ["video"]]
    assert asked(found[0].records["0.json:1"]) == ("Alike?", "7")


def test_a_stretch_of_pictures_or_of_a_video_among_images(folder: Path) -> None:
    frames = [["frames/run/1.jpg", "frames/run/2.jpg"]]
    rows = [
        {"images": ["clips/a.mp4"], "prompt": "What?", "response": "x", "start": 1, "end": 2},
        {"images": frames, "prompt": "What?", "response": "x", "start": 1, "end": 2},
    ]
    records, errors = outcome(read_columns, Origin(write_json(folder / "t.json", rows)))
    assert not errors
    views = [record.media[0].view for record in records.values()]
    assert [(view.start_s, view.end_s) for view in views] == [(1.0, 2.0)] * 2


def test_options_make_multiple_choice(folder: Path) -> None:
    columns = parse_map("video=video,question=question,answer=answer,options=options")
    text = "video,question,answer,options\na,What?,snow,rain|snow\nb,What?,(A),rain|snow\n"
    records, errors = outcome(read_columns, table(folder, text, columns=columns))
    assert not errors
    words = [asked(record) for record in records.values()]
    ending = "Answer with the option's letter from the given choices directly."
    question = f"What?\nA. rain\nB. snow\n{ending}"
    assert words == [(question, "B"), (question, "A")]
    first = records["t.csv:1"].extras
    assert (first.kind, first.options, first.answer) == (
        "multiple_choice",
        ("rain", "snow"),
        "snow",
    )


def test_options_in_several_columns(folder: Path) -> None:
    columns = parse_map("video=video,question=q,answer=right,options=a0+a1+a2")
    text = "video,q,right,a0,a1,a2\na,What?,snow,rain,snow,\n"
    records, errors = outcome(read_columns, table(folder, text, columns=columns))
    assert not errors
    assert records["t.csv:1"].extras.options == ("rain", "snow")


def test_labels_make_classes(folder: Path) -> None:
    origin = table(folder, "file,label\na,run\nb,jump\na,run\n")
    records, errors = outcome(read_columns, origin)
    assert not errors
    record = records["t.csv:1"]
    words = "Which of these does the video show: jump, run? Answer with one of them."
    assert asked(record) == (words, "run")
    assert (record.extras.kind, record.extras.options) == ("classification", ("jump", "run"))
    prompted = outcome(read_columns, table(folder, "file,label\na,x\nb,y\n", prompt="Which?"))
    assert asked(prompted.records["t.csv:1"]) == ("Which?", "x")


def test_captions_ask_for_a_description(folder: Path) -> None:
    rows = [{"path": "clips/a.mp4", "caption": ["A ball.", "A red ball.", "A ball."]}]
    records, errors = outcome(read_columns, Origin(write_json(folder / "t.json", rows)))
    assert not errors
    record = records["t.json:1"]
    assert asked(record) == (CAPTION_PROMPT, "A ball.")
    assert record.extras.references == ("A ball.", "A red ball.")
    assert record.extras.kind == "caption"


def test_how_a_clip_is_read(folder: Path) -> None:
    columns = parse_map("video=video,answer=answer,clip=how,references=also,kind=k")
    text = 'video,answer,how,also,k\na,x,"{""num_frames"": 4}","[""x"", ""y""]",feedback\n'
    records, errors = outcome(read_columns, table(folder, text, columns=columns))
    assert not errors
    record = records["t.csv:1"]
    assert record.media[0].view.num_frames == 4
    assert (record.extras.kind, record.extras.references) == ("feedback", ("x", "y"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",Why?,Rain,,,", "names no video: column 'video' is empty; remove the row"),
        ("z,Why?,Rain,,,", "no video 'z' in"),
        ("a,,Rain,,,", "column 'question' is empty; write the question"),
        ("a,Why?,,,,", "has no 'answer'; add it or remove the row"),
        ("a,Why?,Rain,soon,,", "'start' is 'soon'; it must be seconds, from 0 on"),
        ("a,Why?,Rain,2,1,", "the end must come after the start"),
        ("a,Why?,Rain,,,7", "'clip' is '7'; write it as {\"num_frames\": 16}"),
        ("c.png,Why?,Rain,1,,", "c.png is a picture and has no start or end; leave these cells"),
        ("http://x.org/a.mp4,Why?,Rain,,,", "is an address, and only local files are read"),
        ("../../a.mp4,Why?,Rain,,,", "leads outside of"),
        ("/dev/zero,Why?,Rain,,,", "leads outside of"),
    ],
)
def test_what_is_wrong_with_a_row(row: str, reason: str, folder: Path) -> None:
    columns = parse_map(
        "video=video,question=question,answer=answer,start_s=start,end_s=end,clip=c"
    )
    origin = table(folder, f"video,question,answer,start,end,c\n{row}\n", columns=columns)
    try:
        errors = outcome(read_columns, origin).errors
    except RecordError as error:  # whoever reads the row looks at its path
        errors = [str(error)]
    assert len(errors) == 1
    assert reason in errors[0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("rain,only", "has 1 option(s) in ['only']; give 2 to 26, as a list or with '|'"),
        ("rain,rain|rain", "an option stands twice in ['rain', 'rain']; remove one"),
        ("hail,rain|snow", "the answer 'hail' is none of the options ['rain', 'snow'] and none of"),
        ("C,rain|snow", "their letters A to B; write the text of the right one"),
        ("rain," + "|".join(map(str, range(30))), "has 30 option(s)"),
    ],
)
def test_what_is_wrong_with_options(row: str, reason: str, folder: Path) -> None:
    columns = parse_map("video=video,question=q,answer=answer,options=options")
    origin = table(folder, f"video,q,answer,options\na,What?,{row}\n", columns=columns)
    records, errors = outcome(read_columns, origin)
    assert not records
    assert reason in errors[0]


def test_two_questions_are_too_many(folder: Path) -> None:
    origin = table(folder, "video,question,answer\na,Why?,Rain.\n", prompt="What?")
    with pytest.raises(ArgumentError, match="column 'question' holds questions; leave one out"):
        list(read_columns(origin))


def test_a_missing_column_is_told_of(folder: Path) -> None:
    origin = table(folder, "path,q,a\nx,y,z\n", columns=parse_map("video=pth,answer=a"))
    with pytest.raises(ManifestError) as caught:
        columns_of(origin)
    assert "--map video=pth, and there is no column 'pth'. Did you mean 'path'?" in str(
        caught.value
    )
    assert "There are: path, q, a." in str(caught.value)


def test_columns_that_nobody_can_guess(folder: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        list(read_columns(Origin(write_json(folder / "t.json", [{"q": 1}]))))
    assert "no columns are obviously those of the video and the answer; name them" in str(
        caught.value
    )
    assert "There are: q." in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video", "--map has 'video'; write it as video=COLUMN,question=COLUMN"),
        ("video=a,", "--map has ''; write it as"),
        ("vido=a", "--map names 'vido'. Did you mean 'video'? Known are video, image"),
        ("video=a,video=b", "--map names 'video' twice; name one column."),
    ],
)
def test_a_map_that_is_none(text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_map(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"answer": "a"}, "--map names no column for the video; add video=COLUMN."),
        ({"video": "a"}, "--map names no column for the answer; add answer=COLUMN."),
        ({"vido": "a"}, "--map names 'vido'. Did you mean 'video'?"),
    ],
)
def test_a_map_that_is_not_enough(columns: dict[str, str], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        check_columns(columns, ["a"], path="t.csv")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"video": "v", "question": "q", "answer": "a"}, "video=video,question=question,answer="),
        ({"file_name": "v", "label": "run"}, "video=file_name,answer=label"),
        ({"image": "i", "query": "q", "caption": "c"}, "image=image,question=query,answer=caption"),
        ({"Video Path": "v", "text": "t"}, "video=Video Path,answer=text"),
        (
            {"video": "v", "answer": "a", "kind": "indoor", "split": "7"},
            "video=video,answer=answer",
        ),
        ({"video": "v", "answer": "a", "kind": "open"}, "video=video,answer=answer,kind=kind"),
        ({"name": "v", "words": "a"}, ""),
    ],
)
def test_guesses(row: dict[str, str], columns: str) -> None:
    assert describe_columns(guess_columns([row])).startswith(columns)
    if columns and not columns.endswith("="):
        assert describe_columns(guess_columns([row])) == columns


def test_more_different_labels_than_classes_are_texts(folder: Path) -> None:
    lines = "".join(f"a,label {number}\n" for number in range(1001))
    records, errors = outcome(read_columns, table(folder, f"video,label\n{lines}"))
    assert not errors
    assert records["t.csv:1"].extras.kind == "caption"
    assert json.dumps(records["t.csv:9"].extras.as_dict()) == '{"kind": "caption"}'
