"""What was measured once is read back, unless anything that it depends on is another."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fixtures_table import MIXED, encoder, row, write
from flipbook.data.generated.write import GeneratedData
from flipbook.data.record_ids import RecordIds
from flipbook.data.tables import file, opening
from flipbook.data.tables.measuring import Measurer
from flipbook.data.tables.opening import open_table
from flipbook.data.tables.table import ConversationTable
from flipbook.errors import ArgumentError, DataError, ManifestError, StorageError

ASKED = [row(f"r{number}", "<video>\nWhat?", "That.", video="a.mp4") for number in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mov", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    write(tmp_path / "rows.json", MIXED)
    return tmp_path


@pytest.fixture
def num_measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return a function that tells how often there was measuring since it was last asked."""
    calls = []
    measure = opening.measure

    def counted(*args: Any, **words: Any) -> Iterator[pa.RecordBatch]:
        calls.append(1)
        return measure(*args, **words)

    monkeypatch.setattr(opening, "measure", counted)

    def ask() -> int:
        number = len(calls)
        calls.clear()
        return number

    return ask


def open_at(folder: Path, **words: Any) -> ConversationTable:
    settings = {"image_folder": None, "encoder": encoder(), "cache_folder": folder / "cache"}
    return open_table(str(folder / "rows.json"), **(settings | words))


def test_a_second_opening_measures_nothing(folder: Path, num_measured: Callable[[], int]) -> None:
    first = open_at(folder)
    assert num_measured() == 1
    second = open_at(folder)
    assert num_measured() == 0
    assert list(second) == list(first)
    assert second.check == first.check
    for name in ("num_tokens", "head_tokens", "clips"):
        assert (getattr(second, name) == getattr(first, name)).all()


def test_whatever_a_length_depends_on_makes_it_new(
    folder: Path, num_measured: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = encoder()
    open_at(folder, encoder=made)
    other_template = encoder()
    other_template.tokenizer.chat_template += "{# another #}"
    other_words = encoder()
    other_words.tokenizer.add_tokens(["moves"])
    other_rule = encoder()
    other_rule.tokenizer.split_special_tokens = True
    settings = made.settings
    assert num_measured() == 1
    for changed in (
        {"encoder": replace(made, max_length=4000)},
        {"encoder": replace(made, settings=replace(settings, num_frames=3))},
        {"encoder": replace(made, settings=replace(settings, frame_size=64))},
        {"encoder": replace(made, settings=replace(settings, system_prompt="Be brief."))},
        {"encoder": other_template},
        {"encoder": other_words},
        {"encoder": other_rule},
        {"image_folder": str(folder)},
    ):
        open_at(folder, **({"encoder": made} | changed))
        assert num_measured() == 1, changed
    write(folder / "rows.json", MIXED[:-1])
    open_at(folder, encoder=made)
    assert num_measured() == 1
    monkeypatch.setattr("flipbook.data.encoder.version", lambda name: f"{name} of tomorrow")
    open_at(folder, encoder=made)
    assert num_measured() == 1


def test_what_a_tokenizer_was_last_asked_for_does_not_matter(
    folder: Path, num_measured: Callable[[], int]
) -> None:
    made = encoder()
    open_at(folder, encoder=made)
    made.tokenizer(["a", "abc"], padding=True, truncation=True, max_length=2)
    open_at(folder, encoder=made)
    assert num_measured() == 1


def test_clips_that_went_and_came_back_are_missed_by_name(
    folder: Path, num_measured: Callable[[], int]
) -> None:
    whole = open_at(folder)
    (folder / "a.mp4").rename(folder / "away")
    table = open_at(folder)
    assert [c.record_id for c in table] == ["other", "text", "text again"]
    rejected = table.check.rejected
    assert [e.record_id for e in rejected] == ["one", "two", "late", "both", "turned", "several"]
    assert all("a.mp4: does not exist" in str(error) for error in rejected)
    assert table.clips.tolist() == [0, 1, 2]
    assert [table.clip_name(index) for index in range(3)] == ["other", "text", "text"]
    assert table.check.longest_id in ("other", "text")
    (folder / "away").rename(folder / "a.mp4")
    assert list(open_at(folder)) == list(whole)
    (folder / "a.mp4").write_bytes(b"")
    assert "is empty" in str(open_at(folder).check.rejected[0])
    (folder / "a.mp4").unlink()
    (folder / "a.mp4").symlink_to("/etc/hostname")
    assert "leads outside" in str(open_at(folder).check.rejected[0])
    assert num_measured() == 1


def test_a_clip_that_is_missing_at_first_is_welcome_later(folder: Path) -> None:
    write(folder / "rows.json", [row("late", "<video>\nWhat?", "That.", video="late.mp4"), *ASKED])
    assert open_at(folder).check.num_conversations == 3
    (folder / "late.mp4").write_bytes(b"x")
    assert [c.record_id for c in open_at(folder)] == ["late", "r0", "r1", "r2"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "no facts", "odd facts", "a folder"])
def test_damaged_files_are_written_again(
    damage: str, folder: Path, num_measured: Callable[[], int]
) -> None:
    expected = list(open_at(folder))
    (path,) = (folder / "cache").glob("*.arrow")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "a folder":
        path.with_suffix(".json").unlink()
        path.unlink()
        path.mkdir()
    else:
        path.with_suffix(".json").write_text("{" if damage == "no facts" else '{"num_bytes": 3}')
    assert num_measured() == 1
    assert list(open_at(folder)) == expected
    assert num_measured() >= 1


def test_what_a_killed_process_left_is_removed(folder: Path) -> None:
    open_at(folder)
    (table,) = (folder / "cache").glob("*.arrow")
    names = sorted(path.name for path in table.parent.iterdir())
    table.with_suffix(".json").unlink()
    table.with_name(f"{table.name}.1.partial").write_bytes(b"half")
    other = table.with_name("of-another-table.arrow.1.partial")
    other.write_bytes(b"half")
    assert len(open_at(folder)) == 10
    assert sorted(path.name for path in table.parent.iterdir()) == sorted([*names, other.name])


def test_a_folder_that_cannot_be_written_to_stops_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
    (folder / "cache").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING, logger="flipbook"):
        table = open_at(folder)
    assert "cannot be written to" in caplog.text
    assert "set HF_DATASETS_CACHE" in caplog.text
    assert len(table) == 10
    assert len(list((folder / "temporary").iterdir())) == 1
    del table
    assert not list((folder / "temporary").iterdir())


def test_a_file_system_without_locks_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise NotImplementedError(path)

    monkeypatch.setattr(file, "FileLock", refuse)
    assert len(open_at(folder)) == 10


def test_a_full_disk_is_told_with_both_places(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, **words: object) -> None:
            raise OSError(28, "No space left on device")

    (folder / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
    monkeypatch.setattr(file, "ArrowWriter", Full)
    with pytest.raises(StorageError, match=r"neither to .*cache nor to .*No space left.*make room"):
        open_at(folder)
    assert not list((folder / "temporary").iterdir())
    monkeypatch.undo()
    assert len(open_at(folder)) == 10


def test_a_manifest_that_changes_meanwhile_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = opening.measure

    def changing(*args: Any, **words: Any) -> Iterator[pa.RecordBatch]:
        yield from measure(*args, **words)
        write(folder / "rows.json", MIXED[:2])

    monkeypatch.setattr(opening, "measure", changing)
    with pytest.raises(ManifestError, match="has changed while it was read; start again"):
        open_at(folder)
    monkeypatch.undo()
    assert len(open_at(folder)) == 2
    assert not list((folder / "cache").glob("*.partial"))


def test_new_ids_between_two_readings_are_a_changed_manifest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = opening.survey

    def changing(path: Path) -> RecordIds:
        ids = survey(path)
        write(folder / "rows.json", [{**MIXED[0], "id": "new"}])
        return ids

    monkeypatch.setattr(opening, "survey", changing)
    with pytest.raises(ManifestError, match="has changed while it was read; start again"):
        open_at(folder)


def _open_in_process(folder: Path) -> list[str]:
    return [conversation.record_id for conversation in open_at(folder)]


def test_processes_that_open_at_once_get_the_same(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(3, context) as pool:
        found = list(pool.map(_open_in_process, [folder] * 3))
    assert found == [_open_in_process(folder)] * 3
    kinds = sorted(path.suffix for path in (folder / "cache").iterdir())
    assert kinds in ([".arrow", ".json"], [".arrow", ".json", ".lock"])


def test_an_image_folder_that_is_none_is_refused(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="--image_folder .*nowhere is no folder"):
        open_at(folder, image_folder=str(folder / "nowhere"))


@pytest.fixture
def clips(tmp_path: Path, generated: GeneratedData) -> Path:
    """A folder with a real clip, asked about three times."""
    clip = next((generated.folder / "clips").glob("train-*.mp4"))
    shutil.copy(clip, tmp_path / "a.mp4")
    write(tmp_path / "rows.json", ASKED)
    return tmp_path


def test_lengths_that_depend_on_clips_are_measured_when_clips_change(
    clips: Path, generated: GeneratedData, num_measured: Callable[[], int]
) -> None:
    made = encoder(sampler="fps", frames_per_s=3.0, min_frames=2, max_frames=6)
    lengths = open_at(clips, encoder=made).num_tokens.tolist()
    assert open_at(clips, encoder=made).num_tokens.tolist() == lengths
    assert num_measured() == 1
    (clips / "a.mp4").rename(clips / "away")
    assert len(open_at(clips, encoder=made).check.rejected) == 3
    (clips / "away").rename(clips / "a.mp4")
    assert len(open_at(clips, encoder=made)) == 3
    assert num_measured() == 0
    os.utime(clips / "a.mp4", ns=(1, 1))
    assert open_at(clips, encoder=made).num_tokens.tolist() == lengths
    assert num_measured() == 1
    (clips / "a.mp4").write_bytes(b"this is no video" * 100)
    table = open_at(clips, encoder=made)
    assert num_measured() == 1
    assert len(table) == 0
    assert "a.mp4" in str(table.check.rejected[0])
    shutil.copy(next((generated.folder / "clips").glob("train-*.mp4")), clips / "a.mp4")
    assert open_at(clips, encoder=made).num_tokens.tolist() == lengths


def test_no_clip_outside_the_folders_is_opened_to_know_its_length(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = clips.parent / f"{clips.name}-outside.mp4"
    (clips / "a.mp4").rename(outside)
    (clips / "a.mp4").symlink_to(outside)

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("flipbook.data.shown.shown_length_of", never)
    table = open_at(clips, encoder=encoder(sampler="fps"))
    assert "leads outside" in str(table.check.rejected[0])


def test_clips_that_change_while_they_are_measured_are_told(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = Measurer.folders
    times = iter(range(1, 100))

    def touching(self: Measurer, manifest: int) -> Any:
        os.utime(clips / "a.mp4", ns=(next(times), next(times)))
        return folders(self, manifest)

    monkeypatch.setattr(Measurer, "folders", touching)
    with pytest.raises(DataError, match="videos have changed while they were looked at"):
        open_at(clips, encoder=encoder(sampler="fps"))
