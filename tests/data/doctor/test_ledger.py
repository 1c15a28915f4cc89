"""What is wrong with a row is found without opening a video, and has its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fixtures_doctor import SETTINGS, manifest_at, row, write_rows
from fixtures_table import say
from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.ledger import (
    OWN_SPLIT,
    Ledger,
    Manifest,
    RowReader,
    read_ledger,
    split_order,
)
from flipbook.data.extras import SPLITS
from flipbook.data.sources import Source
from flipbook.video.view import View


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "link.mp4").symlink_to(os.devnull)


def ledger_of(*manifests: Manifest) -> Ledger:
    reader = RowReader(manifests)
    return read_ledger(reader, reader.rows(), SETTINGS)


def read(tmp_path: Path, *rows: Any, split: str = OWN_SPLIT) -> Ledger:
    return ledger_of(manifest_at(write_rows(tmp_path / "rows.jsonl", [*rows, GOOD]), split))


GOOD = row("good", "b.mp4")
CHOICE = {"kind": "multiple_choice", "options": ["left", "right"]}
BAD_ROWS: dict[str, tuple[Any, str, str]] = {
    "not json": ("{bad", "not_json", "is not JSON"),
    "no number": ('{"id": NaN}', "not_json", "which is no JSON"),
    "digits": ('{"id": 1' + "0" * 4001 + "}", "not_json", "digits; write it as text"),
    "deep": ("[" * 100_000, "not_json", "nested too deeply"),
    "twice": ('{"id": "a", "id": "b"}', "duplicate_key", "holds the key 'id' twice"),
    "list": ("[1]", "structure", "is list; a row must be an object"),
    "id": ({"id": [1]}, "structure", "'id' is"),
    "keys": ({"id": "a", "vidoe": "a.mp4"}, "structure", "expected is conversations or messages"),
    "both": ({**row("a", "a.mp4"), "messages": []}, "structure", "holds both"),
    "blank answer": (row("a", "a.mp4", " "), "empty_answer", "turn 2 is a blank answer"),
    "blank question": (row("a", None, question=" "), "empty_question", "turn 1 is a blank quest"),
    "order": (
        {"id": "a", "conversations": [{"from": "gpt", "value": "x"}]},
        "roles",
        "turn 1 is of assistant where user is expected",
    ),
    "no answer": ({"id": "a", "conversations": say("Why?")}, "roles", "has no answer; add one"),
    "role": ({"id": "a", "conversations": [{"from": "me", "value": "x"}]}, "roles", "unknown role"),
    "system alone": (
        {"id": "a", "conversations": [{"from": "system", "value": "x"}]},
        "roles",
        "the conversation is empty",
    ),
    "two places": (
        row("a", "a.mp4", question="<video><video>Why?"),
        "placeholders",
        "has placeholders for",
    ),
    "no place": (
        {**row("a", None), "clip_path": "a.mp4"},
        "placeholders",
        "shows nothing, but 'clip_path' holds",
    ),
    "no such option": (row("a", "a.mp4", **CHOICE, answer="up"), "options", "none of its options"),
    "no options": (row("a", "a.mp4", kind="classification"), "options", "has no 'options'"),
    "side": (row("a", "a.mp4", clip={"frame_size": 100}), "settings", "no multiple of 64"),
    "floor": (row("a", "a.mp4", clip={"min_frames": 99}), "settings", "above the ceiling"),
    "setting": (row("a", "a.mp4", clip={"frames": 3}), "settings", "'clip' holds 'frames'"),
    "stretch": (
        {**row("a", None), "video": {"path": "a.mp4", "start_s": 2, "end_s": 1}},
        "settings",
        "the end must come after the start",
    ),
    "part": (
        {**row("a", None), "video": {"path": "a.mp4", "strat_s": 2}},
        "settings",
        "might change what is shown",
    ),
    "address": (row("a", "http://x.org/a.mp4"), "refused", "is an address"),
    "name": (row("a", "a\\0b.mp4".replace("\\0", "\0")), "refused", "no name that a file can have"),
    "pipe": (row("a", "pipe.mp4"), "refused", "is a pipe"),
    "gone": (row("a", "gone.mp4"), "missing", "does not exist"),
    "empty": (row("a", "empty.mp4"), "empty", "0 bytes"),
    "no pictures": (row("a", "folder.mp4"), "empty", "a folder without pictures"),
    "no list": ({**row("a", None), "video": [{"frames": []}]}, "empty", "an empty list"),
    "out": (row("a", "../gone.mp4"), "outside", "leads outside of"),
    "link": (row("a", "link.mp4"), "outside", "leads outside of"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows(name: str, tmp_path: Path) -> None:
    content, code, words = BAD_ROWS[name]
    bad, good = read(tmp_path, content).entries
    (finding,) = bad.findings
    assert finding.code == code
    assert words in finding.reason and "\n" not in finding.reason
    assert not bad.is_sound and good.is_sound
    assert (bad.row, good.row, good.record_id) == (1, 2, "good")


def test_files_that_may_not_be_opened_are_named(tmp_path: Path) -> None:
    ledger = read(tmp_path, row("a", "gone.mp4"), row("b", "a.mp4"))
    paths = {finding.path for entry in ledger.entries for finding in entry.findings}
    assert paths == {str(tmp_path / "gone.mp4")}
    (refused,) = ledger.refused
    assert [item.path for item in ledger.media][refused] == str(tmp_path / "gone.mp4")


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    (finding,) = read(tmp_path).entries[0].findings
    assert finding.code == "refused" and "change its permissions" in finding.reason


def test_each_file_stands_once_for_each_view(tmp_path: Path) -> None:
    stretch = [{"type": "video", "path": "a.mp4", "start_s": 1.0}, {"type": "text", "text": "What"}]
    ledger = read(
        tmp_path,
        row("a", "a.mp4"),
        row("b", "a.mp4", "Another."),
        {"messages": [{"role": "user", "content": stretch}, {"role": "assistant", "content": "x"}]},
    )
    assert [entry.media for entry in ledger.entries] == [(0,), (0,), (1,), (2,)]
    assert [(Path(item.path).name, item.view) for item in ledger.media] == [
        ("a.mp4", View()),
        ("a.mp4", View(start_s=1.0)),
        ("b.mp4", View()),
    ]


def test_names_that_are_not_the_rows_own(tmp_path: Path) -> None:
    rows = [row("a", "a.mp4"), row("a", "a.mp4", "No."), row(None, "c.png"), row(None, None)]
    rows[3]["id"] = 7
    ledger = read(tmp_path, *rows)
    names = [(entry.record_id, entry.is_named) for entry in ledger.entries]
    assert names[:4] == [("a", True), ("a#2", False), ("rows.jsonl:3", False), ("7", True)]
    note, _ = ledger.entries[1].findings
    assert note == Finding(
        "duplicate_id", "has the id 'a' of an earlier record, and is called 'a#2'"
    )
    assert all(entry.is_sound for entry in ledger.entries)


def test_where_the_split_stands(tmp_path: Path) -> None:
    own = row("a", "a.mp4", split="dev", group="g")
    assert [entry.split for entry in read(tmp_path, own).entries] == ["validation", "train"]
    used = read(tmp_path, own, split="test").entries
    assert [(entry.split, entry.group) for entry in used] == [("test", "g"), ("test", None)]
    assert sorted(SPLITS, key=split_order) == ["test", "validation", "train"]


def test_several_manifests_have_their_own_folders_and_views(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.mp4").write_bytes(b"x")
    rows = [row("a", "a.mp4")]
    here, there = write_rows(tmp_path / "r.jsonl", rows), write_rows(other / "r.jsonl", rows)
    ledger = ledger_of(
        manifest_at(here),
        Manifest(Source(str(there), view=View(num_frames=3)), "test"),
        Manifest(Source(str(write_rows(other / "s.jsonl", rows)), str(tmp_path)), "test"),
    )
    assert [(item.path, item.view.num_frames) for item in ledger.media] == [
        (str(tmp_path / "a.mp4"), None),
        (str(other / "a.mp4"), 3),
    ]
    assert [(entry.manifest, entry.media) for entry in ledger.entries] == [
        (0, (0,)),
        (1, (1,)),
        (2, (0,)),
    ]
