"""Is a file read once, and again whenever it may have changed?"""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest
import xxhash

from flipbook.data import contents
from flipbook.data.contents import ContentHashes, replace_file
from flipbook.errors import MediaError


@pytest.fixture
def num_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every file is old enough to be remembered; counts how often one is read."""
    counts = [0]
    digest = contents.hashlib.file_digest

    def counted(*args: object) -> object:
        counts[0] += 1
        return digest(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(contents.hashlib, "file_digest", counted)
    monkeypatch.setattr(contents, "YOUNG_NS", 0)
    return counts


@pytest.fixture
def media(tmp_path: Path) -> Path:
    path = tmp_path / "clip ü.mp4"
    path.write_bytes(b"first content")
    return path


def test_the_hash_is_that_of_the_content(media: Path, tmp_path: Path) -> None:
    expected = xxhash.xxh3_128_hexdigest(b"first content")
    assert ContentHashes(tmp_path / "notes").hash_of(media) == expected


def test_a_file_is_read_once_by_all_processes_together(
    media: Path, tmp_path: Path, num_reads: list[int]
) -> None:
    first = ContentHashes(tmp_path / "notes")
    known = first.hash_of(media)
    assert first.hash_of(media) == known
    second = pickle.loads(pickle.dumps(first))
    assert second.hash_of(media) == known
    assert ContentHashes(tmp_path / "notes").hash_of(os.path.relpath(media)) == known
    assert num_reads == [1]


def test_a_file_with_its_old_size_and_date_is_read_again(
    media: Path, tmp_path: Path, num_reads: list[int]
) -> None:
    hashes = ContentHashes(tmp_path / "notes")
    before, status = hashes.hash_of(media), media.stat()
    time.sleep(0.02)  # the clock of a file system ticks every few milliseconds
    media.write_bytes(b"other content")
    os.utime(media, ns=(status.st_atime_ns, status.st_mtime_ns))
    now = media.stat()
    assert (now.st_size, now.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert hashes.hash_of(media) == xxhash.xxh3_128_hexdigest(b"other content") != before
    assert ContentHashes(tmp_path / "notes").hash_of(media) != before
    assert num_reads == [2]


def test_another_file_of_the_same_name_is_read(
    media: Path, tmp_path: Path, num_reads: list[int]
) -> None:
    hashes = ContentHashes(tmp_path / "notes")
    before = hashes.hash_of(media)
    (tmp_path / "new").write_bytes(b"renamed bytes")
    os.replace(tmp_path / "new", media)
    assert hashes.hash_of(media) != before
    assert num_reads == [2]


def test_a_young_file_is_not_remembered(
    media: Path, tmp_path: Path, num_reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "YOUNG_NS", 3600 * 10**9)
    hashes = ContentHashes(tmp_path / "notes")
    assert hashes.hash_of(media) == hashes.hash_of(media)
    os.utime(media, (2**33, 2**33))  # a date in the future makes it no older
    hashes.hash_of(media)
    assert num_reads == [3]
    assert not (tmp_path / "notes").exists()


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_a_damaged_note_is_not_believed(
    media: Path, tmp_path: Path, num_reads: list[int], place: int
) -> None:
    known = ContentHashes(tmp_path / "notes").hash_of(media)
    (note,) = [path for path in (tmp_path / "notes").rglob("*") if path.is_file()]
    good = note.read_bytes()
    for bad in (good[:place], good[:place] + b"7" + good[place + 1 :], b"\xff", b"1 2 3 4 5 6 7"):
        if bad == good:
            continue
        note.write_bytes(bad)
        assert ContentHashes(tmp_path / "notes").hash_of(media) == known
        assert note.read_bytes() == good  # mended
    assert num_reads[0] >= 4


def test_a_note_about_another_file_is_not_believed(tmp_path: Path, num_reads: list[int]) -> None:
    """Even where size, dates and inode are those of the file."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"one")
    os.link(one, two)
    hashes = ContentHashes(tmp_path / "notes")
    hashes.hash_of(one)
    hashes._place(str(two)).parent.mkdir(exist_ok=True)
    os.replace(hashes._place(str(one)), hashes._place(str(two)))
    assert ContentHashes(tmp_path / "notes").hash_of(two) == hashes.hash_of(one)
    assert num_reads == [2]


def test_a_folder_that_cannot_be_written_is_no_fault(media: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"a file where the folder should be")
    hashes = ContentHashes(tmp_path / "notes")
    assert hashes.hash_of(media) == hashes.hash_of(media)


def test_memory_is_bounded(
    tmp_path: Path, num_reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "MAX_REMEMBERED", 3)
    hashes = ContentHashes(tmp_path / "notes")
    for number in range(10):
        path = tmp_path / str(number)
        path.write_bytes(b"x" * (number + 1))
        hashes.hash_of(path)
    assert len(hashes._known) == 3


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = ContentHashes(tmp_path / "notes")
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("gone.mp4", "does not exist"), ("pipe", "is a pipe"), ("", "is a folder")):
        with pytest.raises(MediaError, match=words):
            hashes.hash_of(tmp_path / name)

    def fail(*_args: object) -> None:
        raise OSError(5, "Input/output error")

    (tmp_path / "bad.mp4").write_bytes(b"x")
    monkeypatch.setattr(contents.hashlib, "file_digest", fail)
    with pytest.raises(MediaError, match=r"bad\.mp4: cannot be read .*Input/output.*copy"):
        hashes.hash_of(tmp_path / "bad.mp4")


def test_a_pipe_in_place_of_a_note_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"content")
    os.utime(tmp_path / "clip.mp4", (1, 1))
    expected = ContentHashes(tmp_path / "notes").hash_of(tmp_path / "clip.mp4")
    place = ContentHashes(tmp_path / "notes")._place(str(tmp_path / "clip.mp4"))
    place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place)
    assert ContentHashes(tmp_path / "notes").hash_of(tmp_path / "clip.mp4") == expected


def test_a_file_that_cannot_be_finished_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(contents.os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "a" / "b", b"content", staging=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
