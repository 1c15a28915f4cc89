"""Is it told, and no more than that, where media were written after a run began?"""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fixtures_model import make_tokenizer
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.generated.write import GeneratedData
from flipbook.train.arguments import DataArguments
from flipbook.train.checkpoints.identity import RUN_FILE, read_began_s, write_run_id
from flipbook.train.resume import going_on


def _told(run_folder: Path, data: Any) -> str:
    console = Console(file=io.StringIO(), width=1000)
    going_on._tell_later_media(run_folder, data, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_media_that_were_written_later_are_counted_and_named(
    generated: GeneratedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_args = DataArguments(
        num_video_frames=2, frame_size=128, image_folder=str(generated.folder)
    )
    dataset = LazySupervisedDataset(str(generated.train), make_tokenizer(), data_args)
    data = {"train_dataset": dataset}
    assert _told(tmp_path, data) == ""  # nothing tells when the run began
    monkeypatch.setattr(going_on, "read_began_s", lambda _: time.time() + 60)
    assert _told(tmp_path, data) == ""
    clips = sorted((generated.folder / "clips").glob("train-*.mp4"))[:4]
    before = [path.stat() for path in clips]
    try:
        for path in clips:
            os.utime(path, (time.time() + 120, time.time() + 120))
        found = _told(tmp_path, data)
    finally:
        for path, state in zip(clips, before, strict=True):
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert found.startswith("Warning: 4 videos or images were written after this run began (")
    assert "and 1 more). Their sizes are as they were." in found


def test_when_a_run_began_is_read_back(tmp_path: Path) -> None:
    assert read_began_s(tmp_path) is None
    write_run_id(tmp_path, "a")
    assert abs((read_began_s(tmp_path) or 0) - time.time()) < 60
    (tmp_path / RUN_FILE).write_text("{}")
    assert read_began_s(tmp_path) is None
