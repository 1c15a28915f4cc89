"""Where relative paths of a written file begin."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures_benchmarks import make_files
from flipbook.data.converting.out_paths import OutPaths
from flipbook.data.media_folders import MediaFolders, is_inside
from flipbook.data.turns import Media


def paths_for(tmp_path: Path, out: str, *media: str, absolute: bool = False) -> OutPaths:
    """After media in `lists` (of the manifest) and `media` (named)."""
    make_files(tmp_path, *media, "lists/t.csv", "media/x", f"{out}/x")
    folders = MediaFolders(tmp_path / "lists" / "t.csv", tmp_path / "media")
    paths = OutPaths(tmp_path / out / "t.jsonl", folders, absolute=absolute)
    for name in media:
        paths.add([Media("video", str(tmp_path / name))])
    return paths


@pytest.mark.parametrize(
    ("out", "media", "folder", "needed"),
    [
        ("media", ["media/a.mp4"], "media", None),
        (".", ["media/a.mp4", "lists/b.mp4"], ".", None),
        ("out", ["media/a.mp4"], "media", "media"),
        ("media/out", ["media/a.mp4", "media/out/b.mp4"], "media", "media"),
        ("media/out", ["media/out/b.mp4"], "media/out", None),
        ("out", ["media/a.mp4", "out/b.mp4"], "media", "media"),
        ("out", [], "out", None),
    ],
)
def test_where_paths_begin(
    out: str, media: list[str], folder: str, needed: str | None, tmp_path: Path
) -> None:
    paths = paths_for(tmp_path, out, *media)
    assert not paths.is_torn
    assert os.path.realpath(paths.folder) == os.path.realpath(tmp_path / folder)
    assert paths.image_folder == (None if needed is None else tmp_path / needed)


@pytest.mark.parametrize(
    ("out", "media"),
    [
        ("out", ["media/a.mp4", "lists/b.mp4"]),
        ("out", ["out/a.mp4", "media/b.mp4"]),
        ("media/out", ["media/out/b.mp4", "media/a.mp4"]),
    ],
)
def test_media_here_and_there(out: str, media: list[str], tmp_path: Path) -> None:
    assert paths_for(tmp_path, out, *media).is_torn
    whole = paths_for(tmp_path, out, *media, absolute=True)
    assert not whole.is_torn
    for name in media:
        assert os.path.relpath(tmp_path / name, whole.folder).startswith("..")
    folder = whole.image_folder
    own = tmp_path / out
    for name in media:
        is_own = is_inside(str(tmp_path / name), str(own))
        assert is_own or (folder and is_inside(str(tmp_path / name), str(folder)))


def test_links_are_followed(tmp_path: Path) -> None:
    make_files(tmp_path, "disk/a.mp4", "lists/t.csv")
    (tmp_path / "lists" / "clips").symlink_to(tmp_path / "disk")
    folders = MediaFolders(tmp_path / "lists" / "t.csv", tmp_path / "lists" / "clips")
    paths = OutPaths(tmp_path / "lists" / "t.jsonl", folders)
    paths.add([Media("video", str(tmp_path / "lists" / "clips" / "a.mp4"))])
    assert paths.folder == tmp_path / "lists" / "clips"
    assert paths.image_folder == tmp_path / "disk"


def test_inside() -> None:
    assert is_inside("/a/b", "/a")
    assert is_inside("/a", "/a")
    assert is_inside("/a", "/")
    assert not is_inside("/ab", "/a")
