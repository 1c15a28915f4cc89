"""What was read once is known as long as nothing changes, whatever happens to the journal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fixtures_doctor import SETTINGS
from flipbook.data.doctor.examine import Examined
from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.journal import Journal
from flipbook.data.turns import Media
from flipbook.errors import StorageError
from flipbook.video.settings import ClipSettings
from flipbook.video.view import View

FOUND = Examined(num_frames=7, notes=(Finding("rotated", "is turned", "/ü.mp4"),))


@pytest.fixture
def clip(tmp_path: Path) -> Media:
    (tmp_path / "a.mp4").write_bytes(b"content")
    return Media("video", str(tmp_path / "a.mp4"))


def journal(folder: Path, *, settings: ClipSettings = SETTINGS, timeout_s: float = 60.0) -> Journal:
    return Journal(folder / "journal.jsonl", settings=settings, timeout_s=timeout_s)


def keep(item: Media, folder: Path, found: Examined = FOUND, **how: float) -> str:
    with journal(folder, **how) as kept:  # type: ignore[arg-type]
        key = kept.key_of(item)
        assert key is not None
        kept.add(key, found)
    return key


def test_what_is_kept_is_found_again(clip: Media, tmp_path: Path) -> None:
    key = keep(clip, tmp_path)
    with journal(tmp_path) as later:
        assert later.find(later.key_of(clip)) == FOUND
        assert later.find(None) is None and later.find("other") is None
    assert (tmp_path / "journal.jsonl").read_text().count(key) == 1


def test_whatever_may_change_the_finding_changes_the_key(clip: Media, tmp_path: Path) -> None:
    plain = journal(tmp_path)
    keys = {plain.key_of(clip)}
    keys.add(plain.key_of(replace(clip, view=View(start_s=1.0))))
    keys.add(plain.key_of(replace(clip, view=View(num_frames=5))))
    keys.add(plain.key_of(Media("image", clip.path)))
    keys.add(journal(tmp_path, settings=replace(SETTINGS, frame_size=64)).key_of(clip))
    Path(clip.path).write_bytes(b"CONTENT")
    keys.add(plain.key_of(clip))
    assert len(keys) == 6
    assert plain.key_of(Media("video", str(tmp_path / "gone.mp4"))) is None


def test_what_does_not_matter_leaves_the_key(clip: Media, tmp_path: Path) -> None:
    more = journal(tmp_path, settings=replace(SETTINGS, num_frames=9), timeout_s=1.0)
    picture = Media("image", clip.path)
    assert more.key_of(picture) == journal(tmp_path).key_of(picture)
    same = replace(clip, view=View(num_frames=SETTINGS.num_frames))
    assert more.key_of(same) != more.key_of(clip)


def test_damaged_lines_are_as_good_as_not_there(clip: Media, tmp_path: Path) -> None:
    keep(clip, tmp_path)
    path = tmp_path / "journal.jsonl"
    line = path.read_bytes()
    for bad in (
        line.replace(b'"num_frames": 7', b'"num_frames": 8'),
        line[: len(line) // 2],
        b"\xff\xfe" + line[2:],
        b'"words"\n',
        b"[" * 5000 + b"\n",
    ):
        path.write_bytes(bad)
        with journal(tmp_path) as later:
            assert later.find(later.key_of(clip)) is None
        path.write_bytes(bad + line if bad.endswith(b"\n") else bad + b"\n" + line)
        with journal(tmp_path) as later:
            assert later.find(later.key_of(clip)) == FOUND


def test_a_line_that_was_cut_spoils_no_later_one(clip: Media, tmp_path: Path) -> None:
    keep(clip, tmp_path)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    keep(clip, tmp_path)
    with journal(tmp_path) as later:
        assert later.find(later.key_of(clip)) == FOUND


def test_what_hung_is_tried_again_with_more_time_only(clip: Media, tmp_path: Path) -> None:
    hung = Examined(fault=Finding("hanging", "was not read within 60 s", clip.path))
    key = keep(clip, tmp_path, hung, timeout_s=60.0)
    for timeout_s, known in [(30.0, hung), (60.0, hung), (61.0, None)]:
        with journal(tmp_path, timeout_s=timeout_s) as later:
            assert later.find(key) == known


def test_a_journal_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(StorageError, match=r"cannot be written .*name another folder with --out"):
        journal(tmp_path).__enter__()
