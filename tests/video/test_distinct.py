"""Are still stretches passed over, and does the number of frames stay what was planned?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from fixtures_video import number_of, numbered_picture, write_timed
from flipbook.video.clip import Clip
from flipbook.video.decode import read_clip
from flipbook.video.distinct import most_changing
from flipbook.video.frame_files import list_frame_files, read_frame_files
from flipbook.video.view import WHOLE, View

# Still for a second, then four new pictures in eight frames, then still again.
SHOWN = [0] * 30 + [1, 1, 2, 2, 4, 4, 7, 7] + [7] * 26
SIDE = 128


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("still") / "clip.mp4"
    pictures = [numbered_picture(number) for number in SHOWN]
    write_timed(path, pictures, [40 * place for place in range(len(SHOWN))])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    made = tmp_path_factory.mktemp("pictures")
    for place, number in enumerate(SHOWN):
        Image.fromarray(numbered_picture(number)).save(made / f"{place}.png")
    return list_frame_files(made)


def read(source: Path | tuple[str, ...], **how: Any) -> Clip:
    how = {"frame_size": SIDE, "num_frames": 16, "view": WHOLE} | how
    if isinstance(source, Path):
        return read_clip(source, **how)
    return read_frame_files("clip", source, aspect="pad", sampler="uniform", **how)


def numbers(frames: Tensor) -> list[int]:
    bar = SIDE // 8  # of a picture of 4 to 3
    return [number_of(frame.permute(1, 2, 0).numpy()[bar:-bar]) for frame in frames]


@pytest.mark.parametrize("kind", ["clip", "folder"])
def test_every_new_picture_is_seen_and_the_number_stays(
    kind: str, request: pytest.FixtureRequest
) -> None:
    source = request.getfixturevalue(kind)
    plain, distinct = read(source), read(source, min_frame_change=4.0)
    assert len(plain.frames) == len(distinct.frames) == 16
    assert set(numbers(plain.frames)) == {0, 2, 7}
    assert set(numbers(distinct.frames)) == {0, 1, 2, 4, 7}
    assert distinct.num_repeated == 0
    assert list(distinct.frame_indices) == sorted(distinct.frame_indices)
    fewer = read(source, num_frames=8, min_frame_change=4.0)
    assert set(numbers(fewer.frames)) == {0, 1, 2, 4, 7}


def test_frames_are_those_of_their_instants(clip: Path) -> None:
    distinct = read(clip, min_frame_change=4.0)
    assert numbers(distinct.frames) == [SHOWN[place] for place in distinct.frame_indices]
    assert distinct.times_s.tolist() == pytest.approx([p * 0.04 for p in distinct.frame_indices])


@pytest.mark.parametrize(("sampler", "expected"), [("uniform", 6), ("fps", 5), ("segments", 6)])
def test_every_sampler_gives_as_many_frames_as_without(
    clip: Path, sampler: str, expected: int
) -> None:
    how = {"sampler": sampler, "num_frames": 6, "frames_per_s": 2.0}
    assert len(read(clip, **how).frames) == expected
    assert len(read(clip, min_frame_change=4.0, **how).frames) == expected


def test_only_what_a_view_shows_is_chosen_from(clip: Path) -> None:
    still = read(clip, num_frames=4, min_frame_change=4.0, view=View(end_s=1.0))
    assert numbers(still.frames) == [0, 0, 0, 0]
    assert max(still.frame_indices) < 25
    named = read(clip, num_frames=4, min_frame_change=4.0, view=View(times_s=(0.1, 0.2)))
    assert list(named.frame_indices) == [2, 5]


def test_a_clip_of_few_frames_repeats_them_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "short.mp4"
    write_timed(path, [numbered_picture(number) for number in range(3)], [0, 40, 80])
    assert numbers(read(path, num_frames=6, min_frame_change=4.0).frames) == [0, 0, 0, 1, 1, 2]


def levels(values: Sequence[float]) -> Tensor:
    return torch.tensor(values)[:, None, None].expand(-1, 2, 2)


@pytest.mark.parametrize(
    ("values", "num_frames", "expected"),
    [
        ([0, 0, 0, 9, 9, 20, 20], 2, [0, 5]),  # 20 differs from 9 more than 9 does from 0
        ([0, 0, 0, 9, 9, 20, 20], 3, [0, 3, 5]),
        ([0, 3, 6, 9], 2, [0, 2]),  # a slow change adds up: 6 is no repeat of 0
        ([0, 0, 0, 0, 0, 0], 3, [0, 2, 4]),
        ([0, 9, 18, 27], 2, [0, 1]),  # of equal changes the first
        ([5], 1, [0]),
    ],
)
def test_what_changes_most_is_kept(
    values: list[float], num_frames: int, expected: list[int]
) -> None:
    kept = most_changing(
        levels([float(v) for v in values]), num_frames=num_frames, min_frame_change=5.0
    )
    assert kept == expected
