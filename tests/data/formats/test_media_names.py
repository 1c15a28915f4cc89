"""Files are found by an id, wherever they lie below a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures_benchmarks import make_files
from flipbook.data.formats.media_names import MediaNames, walk_media
from flipbook.errors import RecordError


@pytest.fixture
def names(tmp_path: Path) -> MediaNames:
    make_files(
        tmp_path,
        "a.mp4",
        "deep/er/video7010.mp4",
        "one/same.mp4",
        "two/same.mkv",
        "frames/clip.1/001.jpg",
        ".hidden/b.mp4",
        "notes.txt",
        "top/1.jpg",
    )
    return MediaNames(tmp_path)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.mp4", "a.mp4"),
        ("a", "a.mp4"),
        ("video7010", "deep/er/video7010.mp4"),
        ("video7010.avi", "deep/er/video7010.mp4"),
        ("./x/video7010.mp4", "deep/er/video7010.mp4"),
        ("one/same.mp4", "one/same.mp4"),
        ("top", "top"),
        ("clip.1", "frames/clip.1"),
    ],
)
def test_found(name: str, path: str, names: MediaNames) -> None:
    assert names.find(name, record_id="r") == path
    assert names.has(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("same", "several files are called 'same': one/same.mp4, two/same.mkv; rename them"),
        ("vido7010", "Did you mean 'video7010'?"),
        ("b", "no video 'b' in"),
        ("notes", "no video 'notes' in"),
        ("..", "no video '..' in"),
        ("x" * 5000, "download it or name its folder with --image_folder"),
        ("a\0b", "no video"),
        ("", "the name of its video is ''; it must be text"),
        (None, "the name of its video is None; it must be text"),
        (True, "the name of its video is True; it must be text"),
        ([], "the name of its video is []; it must be text"),
    ],
)
def test_not_found(name: object, reason: str, names: MediaNames) -> None:
    with pytest.raises(RecordError) as caught:
        names.find(name, record_id="r")
    assert reason in str(caught.value)
    assert names.has(name) is (name == "same")


def test_numbers_are_names(tmp_path: Path) -> None:
    make_files(tmp_path, "7.mp4")
    assert MediaNames(tmp_path).find(7, record_id="r") == "7.mp4"


def test_folders_are_walked_in_order_and_links_are_not_followed(tmp_path: Path) -> None:
    make_files(tmp_path, "b/2.mp4", "b/1.png", "a.mp4", "c/d/e.webm", "b/x.json")
    os.symlink(tmp_path / "b", tmp_path / "link")
    assert list(walk_media(tmp_path)) == ["a.mp4", "b/1.png", "b/2.mp4", "c/d/e.webm"]
