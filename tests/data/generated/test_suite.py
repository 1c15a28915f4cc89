"""What is written is what was drawn, at its own rate, with the same bytes for the same seed."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from flipbook.data.generated import suite as suite_module
from flipbook.data.generated.movies import draw_movie
from flipbook.data.generated.scenes import SUITE_TASKS, make_rivals
from flipbook.data.generated.suite import Suite, write_suite
from flipbook.data.generated.write import split_seed
from flipbook.data.records import read_records
from flipbook.errors import ArgumentError
from flipbook.video.decode import read_clip

FEW = ("speed", "duration", "span", "last_frame")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    folder = tmp_path_factory.mktemp("suite")
    return write_suite(folder, clips_per_task=1, form="both", seed=4)


def _movie(task: str, *, number: int, seed: int, split: str = "test") -> Any:
    movie_seed = split_seed(split, seed=seed, number=number)
    rivals = make_rivals(task, seed=movie_seed)
    return rivals[movie_seed % len(rivals)]


@pytest.mark.parametrize("task", SUITE_TASKS)
def test_eight_uniform_frames_of_a_file_are_those_drawn(written: Suite, task: str) -> None:
    movie = _movie(task, number=0, seed=4)
    path = written.folder / f"clips/test-{task}-0000.mp4"
    clip = read_clip(str(path), num_frames=8, frame_size=128, sampler="uniform")
    drawn = draw_movie(movie)[::3].transpose(0, 3, 1, 2)
    assert np.abs(clip.frames.numpy().astype(float) - drawn).mean() < 2
    rate = float(movie.frames_per_s)
    assert np.allclose(clip.times_s, np.arange(0, 22, 3) / rate, atol=1e-3)
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == Fraction(movie.frames_per_s)


def test_every_row_is_a_record(written: Suite) -> None:
    found = read_records(str(written.test))
    assert not found.rejected
    assert len({record.id for record in found.records}) == len(found.records)
    tasks = {record.task for record in found.records}
    assert tasks == {f"{task}{ending}" for task in SUITE_TASKS for ending in ("", "_choice")}
    assert all(Path(record.media[0].path).is_file() for record in found.records)
    assert written.train is None
    assert written.validation is None


def test_one_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    once, again, other = (
        write_suite(tmp_path / name, tasks=FEW, clips_per_task=2, form="choice", seed=seed)
        for name, seed in (("once", 0), ("again", 0), ("other", 1))
    )
    assert _digests(once.folder) == _digests(again.folder)
    assert _digests(once.folder) != _digests(other.folder)


def test_training_clips_are_others(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    suite = write_suite(
        tmp_path,
        tasks=("span", "colour", "span"),
        clips_per_task=2,
        train_clips_per_task=10,
        on_progress=lambda done, total: told.append((done, total)),
    )
    sizes = {
        name: len(json.loads(path.read_text()))
        for name, path in vars(suite).items()
        if name != "folder"
    }
    assert sizes == {"test": 4, "train": 20, "validation": 4}
    assert told == [(number, 28) for number in range(1, 29)]
    digests = _digests(tmp_path / "clips")
    assert len(set(digests.values())) == 28
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clips",
        "test.json",
        "train.json",
        "validation.json",
    ]


def test_no_frame_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip is on the disk before the next one is drawn, and its rows before the split ends."""
    events: list[str] = []
    draw, write = suite_module.draw_movie, suite_module.write_clip

    def drawn(movie: Any) -> Any:
        events.append("draw")
        return draw(movie)

    def written(*words: Any, **options: Any) -> None:
        events.append("write")
        write(*words, **options)

    monkeypatch.setattr(suite_module, "draw_movie", drawn)
    monkeypatch.setattr(suite_module, "write_clip", written)
    write_suite(tmp_path, tasks=("colour",), clips_per_task=3)
    assert events == ["draw", "write"] * 3


def test_a_manifest_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_suite(tmp_path, tasks=("colour",), clips_per_task=3, on_progress=stop)
    assert not (tmp_path / "test.json").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ("bounce",)}, "task 'bounce' is unknown; .* Did you mean 'bounces'?"),
        ({"form": "word"}, "form 'word' is unknown; known are words, choice, both. Did you mean"),
        ({"tasks": ()}, "no task is named: name one or more, or leave --tasks out"),
        ({"clips_per_task": 0}, "--clips_per_task is 0: give a number from 1 to 1,000,000"),
        ({"train_clips_per_task": -1}, "--train_clips_per_task is -1: give a number from 0"),
        ({"clips_per_task": 1_000_001}, "--clips_per_task is 1000001: give a number from 1"),
    ],
)
def test_what_cannot_be_made_is_refused(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=message):
        write_suite(tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
