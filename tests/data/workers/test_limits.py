from __future__ import annotations

from pathlib import Path

import pytest

from flipbook.data.turns import Media
from flipbook.data.workers import limits
from flipbook.data.workers.limits import time_for


def test_large_files_have_more_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(5000))
    monkeypatch.setattr(limits, "READS_BYTES_PER_S", 1000)
    assert time_for(Media("video", str(path)), 60.0) == 65.0
    assert time_for(Media("video", str(tmp_path / "gone.mp4")), 60.0) == 60.0
    assert time_for(Media("video", "no\0name"), 60.0) == 60.0
