"""One pass over a data set: the numbers add up, nothing is read twice, nothing is half written."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import fixtures_endings
from fixtures_doctor import SETTINGS, check, codes_of, read_lines, row, write_rows
from fixtures_video import MakeClip
from flipbook.data.doctor.check import check_manifests
from flipbook.data.doctor.findings import FAULTS, NOTES
from flipbook.data.doctor.journal import Journal
from flipbook.data.records import Record, read_records
from flipbook.data.sources import Source
from flipbook.errors import ArgumentError, DataError, ManifestError, RecordError
from flipbook.video.view import View

NUM_CLIPS = 6


@pytest.fixture
def data(make_clip: MakeClip, tmp_path: Path) -> Path:
    """A folder with clips 0.mp4 to 5.mp4, no two alike, and a page that is none."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(NUM_CLIPS):
        shutil.copy(make_clip(f"n{number}.mp4", num_frames=4 + number), folder / f"{number}.mp4")
    (folder / "page.mp4").write_bytes(b"<!DOCTYPE html>")
    return folder


@pytest.fixture
def rows(data: Path) -> Path:
    """Good records and bad ones in turns."""
    written: list[Any] = []
    for number in range(NUM_CLIPS):
        written += [row(f"good-{number}", f"{number}.mp4"), row(f"bad-{number}", "page.mp4")]
    return write_rows(data / "rows.jsonl", [*written, "{bad", row("blank", "0.mp4", "")])


def ids_in(path: str | Path) -> list[str]:
    return [str(line["id"]) for line in read_lines(Path(path))]


@pytest.mark.usefixtures("serial")
def test_the_numbers_add_up(rows: Path, tmp_path: Path) -> None:
    checked = check(rows, out=tmp_path / "out")
    assert (checked.num_read, checked.num_clean, checked.num_quarantined) == (14, 6, 8)
    (clean,) = checked.clean["own"]
    lines = read_lines(tmp_path / "out" / "quarantine.jsonl")
    assert ids_in(clean.path) == [f"good-{number}" for number in range(NUM_CLIPS)]
    assert not {line["id"] for line in lines} & set(ids_in(clean.path))
    assert len({line["id"] for line in lines}) + len(ids_in(clean.path)) == checked.num_read
    assert {line["code"] for line in lines} == {
        "wrong_type",
        "not_json",
        "empty_answer",
    }
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary == checked.summary
    assert summary["quarantined"]["wrong_type"] == {"num_records": 6, "num_files": 1}
    assert summary["num_clean"] + summary["num_quarantined"] == summary["num_read"] == 14
    assert summary["manifests"][0]["clean_by_split"] == {"train": 6}
    found = read_records(clean.path, image_folder=clean.image_folder)
    assert len(found.records) == 6 and not found.rejected


@pytest.mark.usefixtures("serial")
def test_what_is_clean_is_clean(rows: Path, tmp_path: Path) -> None:
    (clean,) = check(rows, out=tmp_path / "out").clean["own"]
    again = check(Path(clean.path), out=tmp_path / "again", image_folder=clean.image_folder)
    assert (again.num_read, again.num_clean, again.quarantined) == (6, 6, ())


def test_a_second_pass_reads_nothing(rows: Path, tmp_path: Path, serial: list[str]) -> None:
    first = check(rows, out=tmp_path / "out")
    names = [f"{number}.mp4" for number in range(NUM_CLIPS)]
    assert sorted(serial) == [*names, "page.mp4"]
    assert (first.num_examined, first.num_known) == (7, 0)
    serial.clear()
    again = check(rows, out=tmp_path / "out")
    assert serial == [] and (again.num_examined, again.num_known) == (0, 7)
    assert again.quarantined == first.quarantined and again.notes == first.notes
    assert again.summary == first.summary


def test_what_changed_is_read_again(rows: Path, tmp_path: Path, serial: list[str]) -> None:
    check(rows, out=tmp_path / "out")
    serial.clear()
    shutil.copy(rows.parent / "0.mp4", rows.parent / "page.mp4")
    checked = check(rows, out=tmp_path / "out")
    assert serial == ["page.mp4"]
    assert "wrong_type" not in {one.code for one in checked.quarantined}
    serial.clear()
    check(rows, out=tmp_path / "out", settings=SETTINGS.__class__(frame_size=64, num_frames=2))
    assert len(serial) == 7


def test_a_pass_that_is_stopped_goes_on_where_it_was(
    rows: Path, tmp_path: Path, serial: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Journal.add

    def stop_after_three(self: Journal, *words: Any) -> None:
        kept(self, *words)
        if len(serial) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        check(rows, out=tmp_path / "out")
    assert set(os.listdir(tmp_path / "out")) <= {"contents", "journal.jsonl"}
    monkeypatch.setattr(Journal, "add", kept)
    checked = check(rows, out=tmp_path / "out")
    assert len(serial) == len(set(serial)) == 7
    assert (checked.num_examined, checked.num_known, checked.num_clean) == (4, 3, 6)


def test_files_that_end_their_process_cost_themselves(data: Path, tmp_path: Path) -> None:
    names = ["hang", "one", "die", "two"]
    for name in names:
        shutil.copy(data / "0.mp4", data / f"{name}.mp4")
    stretch = [{"type": "video", "path": "hang.mp4", "start_s": 1.0}, {"type": "text", "text": "?"}]
    written = [row(name, f"{name}.mp4") for name in names]
    written.append(
        {
            "id": "later",
            "messages": [
                {"role": "user", "content": stretch},
                {"role": "assistant", "content": "x"},
            ],
        }
    )
    rows = write_rows(data / "rows.jsonl", written)
    words = {"work": fixtures_endings.end_as_named, "file_timeout_s": 6.0}
    checked = check(rows, out=tmp_path / "out", **words)
    assert codes_of(checked) == {"hang": ["hanging"], "die": ["crashed"], "later": ["hanging"]}
    assert check(rows, out=tmp_path / "out", **words).num_examined == 0


@pytest.mark.usefixtures("serial")
def test_leaks_between_files_and_between_records(data: Path, tmp_path: Path) -> None:
    shutil.copy(data / "0.mp4", data / "other name.mp4")
    train = write_rows(
        data / "train.jsonl",
        [row("a", "0.mp4"), row("b", "1.mp4", group="g"), row("c", "2.mp4", "No.", split="test")],
    )
    val = write_rows(data / "val.jsonl", [row("v", "other name.mp4"), row("w", "3.mp4", group="g")])
    test = write_rows(data / "test.jsonl", [row("t", "2.mp4"), row("u", "3.mp4")])
    checked = check(train, validation=[val], test=[test], out=tmp_path / "out")
    assert codes_of(checked) == {"a": ["leak_clip"], "w": ["leak_clip"]}
    assert [note.code for note, _ in checked.notes].count("same_content") == 1
    used = check(out=tmp_path / "out", train=[train], test=[test], validation=[val])
    assert codes_of(used) == {"a": ["leak_clip"], "c": ["leak_clip"], "w": ["leak_clip"]}
    assert [Path(source.path).name for source in used.clean["test"]] == ["test.jsonl"]
    assert [len(used.clean[split]) for split in ("own", "train", "test", "validation")] == [
        0,
        1,
        1,
        1,
    ]


@pytest.mark.usefixtures("serial")
def test_what_a_person_reads(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    console = Console(file=page, soft_wrap=True, highlight=False)
    checked = check(rows, out=tmp_path / "out", console=console, encoder=None)
    text = page.getvalue()
    assert "6 clean + 8 quarantined = 14 records read" in text
    assert "videos and images: 7 read now, 0 known from an earlier pass" in text
    assert f"rows.jsonl: 6 of 14 are clean -> {checked.clean['own'][0].path}" in text
    assert "wrong_type    6 records, 1 file: no video or picture, whatever its name says" in text
    assert "e.g. bad-0: page.mp4: is no video but a web page; name a video file" in text
    assert "96x72 px" in text and "6 videos" in text
    assert "Token budget and labels were not looked at" in text
    assert str(tmp_path / "out" / "quarantine.jsonl") in text
    assert f"--image_folder {rows.parent}" in text
    monkeypatch.chdir(tmp_path)
    check(rows, out=tmp_path / "out", console=console)
    text = page.getvalue()
    assert "0 read now, 7 known" in text and "clean -> out/rows.jsonl" in text


@pytest.mark.usefixtures("serial")
def test_too_much_quarantined(rows: Path, tmp_path: Path) -> None:
    checked = check(rows, out=tmp_path / "out")
    checked.refuse_bad(8 / 14)
    with pytest.raises(
        DataError, match=r"8 of 14 records are quarantined \(57.1%, allowed are"
    ) as e:
        checked.refuse_bad(0.5)
    assert str(tmp_path / "out" / "quarantine.jsonl") in str(e.value)
    assert checked.clean["own"][0].path in str(e.value)
    none = write_rows(rows.parent / "none.jsonl", [row("a", "page.mp4")])
    with pytest.raises(DataError, match="1 of 1 records"):
        check(none, out=tmp_path / "out").refuse_bad(1.0)


@pytest.mark.usefixtures("serial")
def test_a_manifest_that_changes_meanwhile(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(self: Journal, *_: Any) -> None:
        rows.write_text(rows.read_text() + "\n")

    monkeypatch.setattr(Journal, "add", change)
    with pytest.raises(ManifestError, match="has changed while it was checked; start again"):
        check(rows, out=tmp_path / "out")
    assert not (tmp_path / "out" / "quarantine.jsonl").exists()


@pytest.mark.usefixtures("serial")
def test_files_that_are_still_written_are_not_remembered(
    rows: Path, tmp_path: Path, serial: list[str]
) -> None:
    from flipbook.data.doctor.examine import examine

    def grow(item: Any, **how: Any) -> Any:
        found = examine(item, **how)
        with open(item.path, "ab") as file:
            file.write(b"\0")
        return found

    check(rows, out=tmp_path / "out", work=grow)
    serial.clear()
    check(rows, out=tmp_path / "out")
    assert len(serial) == 7


def test_what_cannot_be_meant(rows: Path, tmp_path: Path) -> None:
    for words, message in [
        ({"num_workers": 0}, "--num_workers is 0: give 1 or more"),
        ({"file_timeout_s": 0.0}, "--file_timeout_s is 0: give seconds"),
        ({"file_timeout_s": float("nan")}, "--file_timeout_s is nan"),
        ({"validation": [rows]}, "rows.jsonl is given 2 times"),
        ({"image_folder": str(rows)}, "is no folder"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            check(rows, out=tmp_path / "out", **words)
    with pytest.raises(ValueError, match="'trian' is no split"):
        check_manifests(
            {"trian": [Source(str(rows))]}, settings=SETTINGS, encoder=None, out=tmp_path / "out"
        )
    with pytest.raises(ManifestError, match="does not exist"):
        check(tmp_path / "gone.jsonl", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_code_has_a_test() -> None:
    texts = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for code in (*FAULTS, *NOTES):
        assert f'"{code}"' in texts, f"no test names {code}"


@pytest.mark.usefixtures("serial")
def test_one_manifest_in_two_views_is_two_data_sets(rows: Path, tmp_path: Path) -> None:
    views = [Source(str(rows)), Source(str(rows), view=View(num_frames=3))]
    checked = check_manifests(
        {"train": views}, settings=SETTINGS, encoder=None, out=tmp_path / "out", num_workers=1
    )
    assert (checked.num_read, checked.num_clean) == (28, 12)
    assert [Path(source.path).name for source in checked.clean["train"]] == [
        "rows.jsonl",
        "rows_2.jsonl",
    ]
    assert checked.clean["train"][1].view == View(num_frames=3)


@pytest.mark.usefixtures("serial")
def test_names_that_are_no_text(make_clip: MakeClip, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(make_clip("short.mp4", num_frames=3), tmp_path / name)
    page = io.StringIO()
    checked = check(
        write_rows(tmp_path / "rows.jsonl", [row("a", name, clip={"num_frames": 5})]),
        out=tmp_path / "out",
        console=Console(file=page, soft_wrap=True),
    )
    assert checked.num_clean == 1
    assert "caf\\udce9.mp4: gives 3 frames where 5 are asked for" in page.getvalue()
    (clean,) = checked.clean["own"]
    (record,) = read_records(clean.path, image_folder=clean.image_folder).records
    assert record.media[0].path == str(tmp_path / name)


STRANGE = (None, True, -1, 10**30, "", "\ud800", "../x.mp4", [], [[]], {}, {"path": "0.mp4"})
WHOLE_ROW: dict[str, Any] = {
    "id": "r",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "video", "path": "0.mp4", "start_s": 0.0, "end_s": 0.1},
                {"type": "text", "text": "Why?"},
            ],
        },
        {"role": "assistant", "content": "Rain."},
    ],
    "options": ["Rain.", "Snow."],
    "answer": "Rain.",
    "spans": [[0.5, 1.5]],
    "split": "val",
    "group": 7,
    "clip": {"num_frames": 3},
}


def places_in(value: Any) -> list[tuple[Any, ...]]:
    """Every place in a value, as the keys that lead there."""
    keys = list(value) if isinstance(value, dict) else []
    keys = list(range(len(value))) if isinstance(value, list) else keys
    return [(key, *rest) for key in keys for rest in [(), *places_in(value[key])]]


def changed(place: tuple[Any, ...], strange: Any) -> Any:
    copy = json.loads(json.dumps(WHOLE_ROW))
    holder = copy
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = strange
    return copy


@pytest.mark.usefixtures("serial")
def test_every_strange_row_has_a_verdict_of_one_line(data: Path, tmp_path: Path) -> None:
    written = [changed(place, value) for place in places_in(WHOLE_ROW) for value in STRANGE]
    checked = check(write_rows(data / "rows.jsonl", written), out=tmp_path / "out")
    lines = (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()
    reasons = [json.loads(line) for line in lines]
    assert all("\n" not in one["reason"] and one["code"] in FAULTS for one in reasons)
    assert len({one["row"] for one in reasons}) == checked.num_quarantined > 200
    (clean,) = checked.clean["own"]
    again = check(Path(clean.path), out=tmp_path / "again", image_folder=clean.image_folder)
    assert again.num_clean == checked.num_clean == checked.num_read - checked.num_quarantined


@pytest.mark.usefixtures("serial")
def test_what_cannot_be_judged_is_a_fault_where_it_would_be_judged(
    data: Path, tmp_path: Path
) -> None:
    rows = [row("good", "0.mp4"), row("bad", "1.mp4", "Several.")]
    train = write_rows(data / "train.jsonl", rows)
    test = write_rows(data / "test.jsonl", [row("good", "2.mp4"), row("bad", "3.mp4", "Several.")])

    def unjudged(record: Record) -> RecordError | None:
        said = record.conversations[0][-1].text
        return RecordError(record.id, "asks for a number") if said == "Several." else None

    checked = check(train, out=tmp_path / "out", test=[test], unjudged=unjudged)
    (fault,) = checked.quarantined
    assert (fault.record_id, fault.file, fault.code) == ("bad", test, "unjudged")
    notes = [(note.code, entry and entry.record_id) for note, entry in checked.notes]
    assert ("unjudged_in_training", "bad") in notes
