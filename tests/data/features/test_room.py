"""Is the bound of a folder held, also where others write into it?"""

from __future__ import annotations

import errno
import os
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from flipbook.data.features import room
from flipbook.data.features.room import Room, folder_bytes

Usage = namedtuple("Usage", "free")


def _write(folder: Path, name: str, num_bytes: int) -> None:
    (folder / name[:1]).mkdir(exist_ok=True)
    (folder / name[:1] / name).write_bytes(b"x" * num_bytes)


def _fill(space: Room, who: str, num_bytes: int, count: int = 10_000) -> int:
    written = 0
    for number in range(count):
        if not space.has(num_bytes):
            break
        _write(space.folder, f"{who}{number}", num_bytes)
        space.add(num_bytes)
        written += 1
    return written


def test_a_bound_is_reached_and_not_passed(tmp_path: Path) -> None:
    _write(tmp_path, "old", 300)
    assert _fill(Room(tmp_path, 1000), "a", 100) == 7
    assert folder_bytes(tmp_path) == 1000
    assert "it has reached 0.0 GB, its bound" in Room(tmp_path, 1000).reason()


def test_what_others_write_counts(tmp_path: Path) -> None:
    rooms = [Room(tmp_path, 100_000) for _ in range(4)]
    for number in range(1200):
        if rooms[number % 4].has(100):
            _write(tmp_path, str(number), 100)
            rooms[number % 4].add(100)
    assert 100_000 <= folder_bytes(tmp_path) <= 102_000


def test_the_folder_is_looked_at_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    num_looks = 0

    def look(folder: Path) -> int:
        nonlocal num_looks
        num_looks += 1
        return folder_bytes(folder)

    monkeypatch.setattr(room, "folder_bytes", look)
    assert _fill(Room(tmp_path, 200_000), "a", 100) == 2000
    assert num_looks < 60


def test_without_a_bound_a_tenth_of_the_free_disk_stays_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [1000]
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: Usage(free[0]))
    space = Room(tmp_path / "not" / "yet", None)
    assert space.has(900)
    assert not space.has(901)
    free[0] = 300
    assert space.has(200)
    assert not space.has(201)
    assert "only 0.0 GB of the disk are free" in space.reason()


def test_a_missing_folder_is_empty(tmp_path: Path) -> None:
    assert folder_bytes(tmp_path / "none") == 0
    assert Room(tmp_path / "none", 10).has(10)


def test_a_folder_that_may_not_be_looked_into_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "closed" / "features"
    stat = os.stat

    def refusing(path: Any, **words: Any) -> os.stat_result:
        if str(path) == str(inside):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **words)

    monkeypatch.setattr(os, "stat", refusing)
    assert Room(inside, None).has(1)
