"""Pictures and clips in every form in which they are handed over become the same frames."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fixtures_video import number_of, numbered_picture
from flipbook.errors import ArgumentError
from flipbook.model.processor.handed_media import clip_frames, picture_frames
from flipbook.model.processor.media_processors import (
    FlipbookImageProcessor,
    FlipbookVideoProcessor,
    flat_clips,
    flat_pictures,
)
from flipbook.video.frames import read_image
from flipbook.video.settings import ClipSettings

SETTINGS = ClipSettings(frame_size=128, num_frames=4, aspect="stretch")
CLIP = np.stack([numbered_picture(number) for number in range(10)])  # (10, 72, 96, 3)
SCALE: dict[str, Any] = {"image_mean": (0.0, 0.0, 0.0), "image_std": (1.0, 1.0, 1.0)}


def numbers(frames: torch.Tensor) -> list[int]:
    assert frames.shape[1:] == (3, 128, 128)
    return [number_of(frame.permute(1, 2, 0).numpy()) for frame in frames]


@pytest.mark.parametrize("aspect", ["pad", "crop", "stretch"])
def test_a_picture_is_the_same_from_a_file_and_from_memory(tmp_path: Path, aspect: str) -> None:
    settings = ClipSettings(frame_size=128, aspect=aspect)
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture = Image.fromarray(CLIP[7]).convert("RGBA")
    picture.save(path, exif=exif)
    expected = read_image(path, frame_size=128, aspect=aspect)[None]
    with Image.open(path) as opened:
        upright = np.rot90(CLIP[7], -1).copy()
        forms = [path, str(path), opened, upright, torch.from_numpy(upright).permute(2, 0, 1)]
        for form in forms:
            assert torch.equal(picture_frames(form, settings=settings), expected)


@pytest.mark.parametrize(
    "form",
    [
        CLIP,
        CLIP.transpose(0, 3, 1, 2),
        torch.from_numpy(CLIP),
        list(CLIP),
        [Image.fromarray(frame) for frame in CLIP],
        tuple(torch.from_numpy(frame).permute(2, 0, 1) for frame in CLIP),
    ],
    ids=["THWC", "TCHW", "tensor", "arrays", "PIL", "tensors"],
)
def test_decoded_frames_are_sampled_as_a_file_would_be(form: Any) -> None:
    assert numbers(clip_frames(form, settings=SETTINGS)) == [0, 3, 6, 9]
    assert numbers(clip_frames(form, settings=SETTINGS, is_sampled=True)) == list(range(10))
    middles = ClipSettings(frame_size=128, num_frames=5, sampler="segments", aspect="stretch")
    assert numbers(clip_frames(form, settings=middles)) == [1, 3, 5, 7, 9]


def test_a_short_clip_repeats_frames_and_files_may_be_frames(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        Image.fromarray(CLIP[number]).save(path)
    assert numbers(clip_frames(paths, settings=SETTINGS)) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (CLIP.astype(np.float32), r"a clip is given as torch.float32 \(10, 72, 96, 3\)"),
        (CLIP[0], r"a clip is given as torch.uint8 \(72, 96, 3\)"),
        (CLIP[..., :2], r"give torch.uint8 or numpy.uint8, \(T, H, W, 3\) or \(T, 3, H, W\)"),
        (b"bytes", "a clip is given as bytes"),
        ([CLIP[0, ..., 0]], r"a picture is given as torch.uint8 \(72, 96\)"),
        ([], "holds none"),
    ],
)
def test_what_is_no_clip_is_refused(form: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        clip_frames(form, settings=SETTINGS)


def test_decoded_frames_have_no_seconds() -> None:
    by_rate = ClipSettings(frame_size=128, sampler="fps")
    with pytest.raises(ArgumentError, match="decoded frames come without their times"):
        clip_frames(CLIP, settings=by_rate)
    processor = FlipbookVideoProcessor.of(by_rate, **SCALE)
    assert len(processor.frames_of(CLIP, num_frames=3)) == 3
    assert len(processor.frames_of(CLIP, do_sample_frames=False)) == 10


def test_the_processors_can_be_used_alone() -> None:
    video = FlipbookVideoProcessor.of(SETTINGS, **SCALE)
    (clip,) = video(CLIP)["pixel_values_videos"]
    assert torch.equal(clip, clip_frames(CLIP, settings=SETTINGS) / 255)
    assert len(video([CLIP, CLIP], num_frames=2)["pixel_values_videos"]) == 2
    again = FlipbookVideoProcessor.from_dict(video.to_dict())
    assert again.settings == SETTINGS
    image = FlipbookImageProcessor.of(SETTINGS, **SCALE)
    seen = image([CLIP[3], Image.fromarray(CLIP[4])], return_tensors="np")["pixel_values"]
    assert isinstance(seen, np.ndarray)
    assert seen.shape == (2, 3, 128, 128)
    assert image.to_dict()["image_processor_type"] == "LlavaImageProcessorPil"


def test_a_picture_may_be_given_as_base64(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(CLIP[5]).save(path)
    address = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    image = FlipbookImageProcessor.of(SETTINGS, **SCALE)
    assert torch.equal(image.frames_of(address), image.frames_of(path))


def test_nested_lists_are_taken_apart_and_frames_are_not() -> None:
    frames = [Image.fromarray(frame) for frame in CLIP]
    assert flat_clips("a.mp4") == ["a.mp4"]
    assert flat_clips([["a.mp4"], [], ["b.mp4", frames]]) == ["a.mp4", "b.mp4", frames]
    assert flat_clips(frames) == [frames]
    assert flat_pictures([[frames[0]], [frames[1], "c.png"]]) == [frames[0], frames[1], "c.png"]
