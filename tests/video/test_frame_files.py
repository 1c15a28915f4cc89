"""A folder of pictures, or a list of them, is a clip like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fixtures_video import number_of, numbered_picture
from flipbook.errors import MediaError
from flipbook.video.frame_files import list_frame_files, read_frame_files
from flipbook.video.view import View


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("frames") / "clip"
    made.mkdir()
    for number in range(12):
        Image.fromarray(numbered_picture(number)).save(made / f"frame_{number}.png")
    (made / "notes.txt").write_text("no picture")
    return made


def numbers(frames: torch.Tensor) -> list[int]:
    height = 128 * 72 // 96
    top = (128 - height) // 2
    return [number_of(f.permute(1, 2, 0).numpy()[top : top + height]) for f in frames]


def test_names_are_ordered_as_people_count(folder: Path) -> None:
    names = [Path(path).name for path in list_frame_files(folder)]
    assert names == [f"frame_{number}.png" for number in range(12)]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (View(), [0, 3, 7, 11]),
        (View(frames_fps=4.0, start_s=1.0, end_s=2.0), [4, 5, 6, 7]),
        (View(frames_fps=4.0, times_s=(0.3, 2.75)), [1, 11]),
    ],
)
def test_pictures_are_taken_as_frames_are(folder: Path, view: View, expected: list[int]) -> None:
    paths = list_frame_files(folder)
    clip = read_frame_files(
        "clip", paths, view=view, frame_size=128, aspect="pad", num_frames=4, sampler="uniform"
    )
    assert numbers(clip.frames) == expected
    spacing_s = 1 / (view.frames_fps or 1.0)
    assert clip.times_s.tolist() == [number * spacing_s for number in expected]
    assert clip.num_repeated == 0


def test_a_short_list_repeats_pictures(folder: Path) -> None:
    paths = list_frame_files(folder)[:2]
    clip = read_frame_files(
        "clip", paths, view=View(), frame_size=64, aspect="pad", num_frames=4, sampler="uniform"
    )
    assert clip.frame_indices == (0, 0, 0, 1)
    assert clip.num_repeated == 2


@pytest.mark.parametrize("view", [View(start_s=1.0), View(times_s=(1.0,))])
def test_instants_need_a_rate(folder: Path, view: View) -> None:
    with pytest.raises(MediaError, match="clip: is made of pictures, .* give frames_fps"):
        read_frame_files(
            "clip", list_frame_files(folder), view=view, frame_size=64, aspect="pad", num_frames=2
        )
    with pytest.raises(MediaError, match="--frames_fps"):
        read_frame_files(
            "clip", ["a.png"], view=View(), frame_size=64, aspect="pad", num_frames=2, sampler="fps"
        )


def test_folders_that_hold_no_clip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is a folder without pictures"):
        list_frame_files(tmp_path)
    with pytest.raises(MediaError, match="cannot be read as a folder of pictures .No such file"):
        list_frame_files(tmp_path / "nowhere")
    secret = tmp_path / "secret.png"
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(secret)
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "1.png").symlink_to(secret)
    with pytest.raises(MediaError, match="1.png: is a link that leads out of its folder"):
        list_frame_files(tmp_path / "clip")
