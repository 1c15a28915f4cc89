from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flipbook.data.turns import Media
from flipbook.data.workers import watched
from flipbook.data.workers.watched import watched_reading
from flipbook.data.workers.working import reading_file, reading_record


@pytest.mark.guarantee(7)
def test_a_file_that_hangs_this_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "LOOK_S", 0.01)
    told: list[str] = []
    is_told = threading.Event()

    def note(words: str) -> None:
        told.append(words)
        is_told.set()

    item = Media("video", "/clips/hang.mp4")
    with watched_reading(0.05, on_late=note), reading_record(["a", "b"]), reading_file(item):
        assert is_told.wait(60)
    assert told[0].startswith("Reading record a, b, file /clips/hang.mp4 did not end within 0.05 s")
    assert "flipbook data check" in told[0]


def test_other_files_and_no_limit_tell_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watched, "LOOK_S", 0.001)
    told: list[str] = []
    item = Media("video", str(tmp_path / "a.mp4"))
    with watched_reading(60, on_late=told.append), reading_file(item):
        pass
    with watched_reading(0, on_late=told.append), reading_file(item):
        pass
    assert not told


PROGRAM = """
import time
from flipbook.data.workers import watched
from flipbook.data.turns import Media
from flipbook.data.workers.working import reading_file
watched.TIMEOUT_S, watched.LOOK_S = 0.2, 0.05
@watched.watched_command()
def run():
    with reading_file(Media("video", "/clips/hang.mp4")):
        time.sleep(600)
run()
"""


@pytest.mark.guarantee(7)
def test_a_command_that_hangs_at_a_file_ends_and_tells() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 6
    assert "flipbook: Reading a record, file /clips/hang.mp4 did not end within" in done.stderr
