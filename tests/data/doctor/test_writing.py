"""What a pass leaves behind is whole, reads again, and loses no row."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fixtures_doctor import SETTINGS, manifest_at, row, write_rows
from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.ledger import Entry, Ledger, Manifest, RowReader, read_ledger
from flipbook.data.doctor.writing import (
    clean_sources,
    note_as_dict,
    quarantined_of,
    told,
    write_clean,
    written_whole,
)
from flipbook.data.records import read_records
from flipbook.data.sources import Source
from flipbook.errors import StorageError
from flipbook.video.view import View


def ledger_of(*manifests: Manifest) -> Ledger:
    reader = RowReader(manifests)
    return read_ledger(reader, reader.rows(), SETTINGS)


def names(sources: tuple[Source, ...], folder: Path) -> list[str]:
    return [os.path.relpath(source.path, folder) for source in sources]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "data" / "clips").mkdir(parents=True)
    path = tmp_path / "data" / "clips" / "a.mp4"
    path.write_bytes(b"x")
    return path


def test_rows_stay_as_they_were_and_keep_their_names(clip: Path, tmp_path: Path) -> None:
    rows = [
        {"note": "Größe <ü>", **row("a", "clips/a.mp4")},
        row("b", "gone.mp4"),
        row("a", "clips/a.mp4", "No."),
        row(None, "clips/a.mp4", "Perhaps.", question="Why?"),
        {**row("c", "clips/a.mp4", question="When?"), "odd": "\ud800"},
    ]
    path = write_rows(tmp_path / "data" / "rows.jsonl", [*rows, "{bad"])
    ledger = ledger_of(manifest_at(path))
    out = tmp_path / "data" / "clean.jsonl"
    assert write_clean(ledger.manifests[0], ledger.entries, out) == 4
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[0] == json.dumps(rows[0], ensure_ascii=False)
    assert [json.loads(line) for line in lines] == [
        rows[0],
        {**rows[2], "id": "a#2"},
        {**rows[3], "id": "rows.jsonl:4"},
        rows[4],
    ]
    read = read_records(out)
    sound = [entry.record_id for entry in ledger.entries if entry.is_sound]
    assert [record.id for record in read.records] == sound and not read.rejected


def test_a_clean_manifest_says_where_its_media_are(clip: Path, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    out.mkdir()
    rows = write_rows(data / "rows.jsonl", [row("a", "clips/a.mp4")])
    ledger = ledger_of(manifest_at(rows))
    (lies_out,) = clean_sources(ledger, out=out, is_beside=False)
    assert lies_out == Source(str(out / "rows.jsonl"), str(data))
    (beside,) = clean_sources(ledger, out=out, is_beside=True)
    assert beside == Source(str(data / "rows_checked.jsonl"))
    for source in (lies_out, beside):
        write_clean(ledger.manifests[0], ledger.entries, Path(source.path))
        found = read_records(source.path, image_folder=source.image_folder)
        assert [item.path for item in found.records[0].media] == [str(clip)]


def test_what_else_a_data_set_says_stays(clip: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", [row("a", "a.mp4")])
    source = Source(str(rows), str(clip.parent), weight=2.5, view=View(num_frames=3))
    (found,) = clean_sources(
        ledger_of(Manifest(source, "train")), out=tmp_path / "out", is_beside=False
    )
    assert found == Source(
        str(tmp_path / "out" / "rows.jsonl"), str(clip.parent), 2.5, View(num_frames=3)
    )


def test_media_that_only_the_old_place_reaches(clip: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "data" / "rows.jsonl", [row("a", str(clip))])
    other = tmp_path / "other"
    other.mkdir()
    ledger = ledger_of(Manifest(Source(str(rows), str(other)), "train"))
    (found,) = clean_sources(ledger, out=tmp_path / "out", is_beside=False)
    assert found == Source(str(tmp_path / "data" / "rows_checked.jsonl"), str(other))


def test_no_manifest_is_overwritten_and_no_two_are_one(clip: Path, tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    other.mkdir()
    rows = [row("a", None)]
    paths = [data / "r.json", data / "r.jsonl", data / "r_checked.jsonl", other / "r.jsonl"]
    ledger = ledger_of(*(manifest_at(write_rows(path, rows)) for path in paths))
    beside = clean_sources(ledger, out=other, is_beside=True)
    assert names(beside, tmp_path) == [
        "data/r_checked_2.jsonl",
        "data/r_checked_3.jsonl",
        "data/r_checked_checked.jsonl",
        "other/r_checked.jsonl",
    ]
    lies_out = clean_sources(ledger, out=other, is_beside=False)
    assert names(lies_out, tmp_path) == [
        "other/r_2.jsonl",
        "other/r_3.jsonl",
        "other/r_checked.jsonl",
        "other/r_4.jsonl",
    ]


def test_each_reason_of_a_record_is_a_line(tmp_path: Path) -> None:
    ledger = ledger_of(manifest_at(write_rows(tmp_path / "r.jsonl", [row("a", None)])))
    gone = Finding("missing", "does not exist", "/a.mp4")
    budget = Finding("budget", "has 9 tokens")
    ledger.entries[0].findings += [gone, budget, gone, Finding("rotated", "is turned")]
    assert [one.as_dict() for one in quarantined_of(ledger)] == [
        {
            "id": "a",
            "file": str(tmp_path / "r.jsonl"),
            "row": 1,
            "code": "missing",
            "reason": "/a.mp4: does not exist",
        },
        {
            "id": "a",
            "file": str(tmp_path / "r.jsonl"),
            "row": 1,
            "code": "budget",
            "reason": "has 9 tokens",
        },
    ]


def test_notes_and_reasons_name_their_file_once() -> None:
    note = Finding("rotated", "is turned", "/a.mp4")
    assert note_as_dict(note) == {"code": "rotated", "reason": "/a.mp4: is turned"}
    assert note_as_dict(note, Entry(0, 1, "a"))["id"] == "a"
    assert told("/a.mp4", "/a.mp4 leads outside") == "/a.mp4 leads outside"


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text("old\n")
    with pytest.raises(KeyboardInterrupt), written_whole(path) as file:
        file.write("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old\n" and read_names(tmp_path) == ["list.jsonl"]
    with written_whole(path) as file:
        file.write("new\n")
    assert path.read_text() == "new\n" and read_names(tmp_path) == ["list.jsonl"]


def read_names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"gone/a.jsonl: cannot be written .*--image_folder"),
        written_whole(tmp_path / "gone" / "a.jsonl"),
    ):
        pass
