"""Is a squared frame what Apple's preprocessing makes of it, for videos and images alike?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

from fixtures_video import MakeClip, number_of, numbered_picture
from flipbook.errors import MediaError
from flipbook.video import ASPECTS, frames, is_image_file, pixels, read_clip, read_image
from flipbook.video.frames import square_frames

SHAPES = [(72, 128), (128, 72), (90, 90), (97, 131), (131, 97), (40, 300), (64, 64), (720, 1280)]


def smooth_picture(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Return a picture with detail at several scales, as photographs have."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3))
    for cells in (3, 9, 27):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return (picture / 3).astype(np.uint8)


def as_frames(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]  # (1, 3, H, W)


def by_llava(picture: np.ndarray, *, frame_size: int, pads: bool = True) -> np.ndarray:
    """Return what the reference processor makes of `picture`: uint8 values, (3, S, S)."""
    processor = LlavaImageProcessorPil(
        do_pad=pads,
        image_mean=[0.0, 0.0, 0.0],
        image_std=[1.0, 1.0, 1.0],
        size={"shortest_edge": frame_size},
        crop_size={"height": frame_size, "width": frame_size},
    )
    batch = processor(Image.fromarray(picture), return_tensors="np")
    return np.rint(batch["pixel_values"][0] * 255)


def assert_alike(ours: np.ndarray, reference: np.ndarray) -> None:
    """Hold values of 0 to 255 within 1, and a few within 2: the rounding of two programs."""
    difference = np.abs(ours.astype(float) - reference.astype(float))
    assert difference.max() <= 2
    assert (difference > 1).mean() < 1e-4
    assert difference.mean() < 0.2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("frame_size", [64, 256])
def test_pad_is_apples_within_rounding(shape: tuple[int, int], frame_size: int) -> None:
    picture = smooth_picture(*shape)
    ours = square_frames(as_frames(picture), frame_size=frame_size, aspect="pad")[0]
    assert_alike(ours.numpy(), by_llava(picture, frame_size=frame_size))


@pytest.mark.parametrize("shape", [(1080, 1920), (1920, 1080), (719, 1281), (480, 854)])
def test_padding_a_part_equals_padding_the_whole(shape: tuple[int, int]) -> None:
    picture = as_frames(smooth_picture(*shape))
    height, width = shape
    side = max(shape)
    whole = torch.zeros((1, side, side, 3), dtype=torch.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    whole[:, top : top + height, left : left + width] = picture.permute(0, 2, 3, 1)
    for frame_size in (256, 320, 512):
        expected = square_frames(whole.permute(0, 3, 1, 2), frame_size=frame_size)
        ours = square_frames(picture, frame_size=frame_size, aspect="pad")
        assert (ours.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
def test_crop_is_the_reference_without_padding(shape: tuple[int, int]) -> None:
    picture = smooth_picture(*shape)
    ours = square_frames(as_frames(picture), frame_size=64, aspect="crop")[0]
    assert_alike(ours.numpy(), by_llava(picture, frame_size=64, pads=False))


@pytest.mark.parametrize("shape", SHAPES)
def test_stretch_is_a_plain_resize(shape: tuple[int, int]) -> None:
    picture = smooth_picture(*shape)
    expected = Image.fromarray(picture).resize((128, 128), Image.Resampling.BICUBIC)
    ours = square_frames(as_frames(picture), frame_size=128, aspect="stretch")[0]
    assert_alike(ours.permute(1, 2, 0).numpy(), np.asarray(expected))


@pytest.mark.parametrize("aspect", list(ASPECTS))
def test_memory_layout_and_batch_change_nothing(aspect: str) -> None:
    pictures = [smooth_picture(72, 128, seed=seed) for seed in range(3)]
    together = torch.cat([as_frames(picture) for picture in pictures])
    squared = square_frames(together, frame_size=64, aspect=aspect)
    assert squared.shape == (3, 3, 64, 64) and squared.is_contiguous()
    assert torch.equal(squared, square_frames(together.contiguous(), frame_size=64, aspect=aspect))
    for place, picture in enumerate(pictures):
        alone = square_frames(as_frames(picture), frame_size=64, aspect=aspect)
        assert torch.equal(alone[0], squared[place])


@pytest.mark.parametrize("aspect", list(ASPECTS))
@pytest.mark.parametrize("size", [(96, 72), (72, 96), (97, 131)])
def test_the_slow_processors_way_agrees(
    aspect: str, size: tuple[int, int], make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(
        f"way_{size[0]}.mkv", size=size, num_frames=4, options="-c:v ffv1 -pix_fmt yuv444p"
    )
    fast = read_clip(path, num_frames=4, frame_size=128, aspect=aspect).frames
    monkeypatch.setattr(pixels, "scales_fast", lambda: False)
    slow = read_clip(path, num_frames=4, frame_size=128, aspect=aspect).frames
    assert slow.shape == fast.shape
    assert (fast.int() - slow.int()).abs().float().mean() < 4


def test_the_way_is_chosen_by_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for capability, expected in {"AVX512": True, "AVX2": True, "DEFAULT": False}.items():
        monkeypatch.setattr(
            torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability
        )
        assert pixels.scales_fast() is expected


def test_videos_and_images_share_the_rule(make_clip: MakeClip, tmp_path: Path) -> None:
    path = make_clip("rule.mkv", num_frames=3, options="-c:v ffv1 -pix_fmt bgr0")
    for number in range(3):
        Image.fromarray(numbered_picture(number)).save(tmp_path / f"{number}.png")
    for aspect in ASPECTS:
        clip = read_clip(path, num_frames=3, frame_size=64, aspect=aspect)
        images = [
            read_image(tmp_path / f"{number}.png", frame_size=64, aspect=aspect)
            for number in range(3)
        ]
        assert torch.equal(clip.frames, torch.stack(images))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp", ".avif", ".jpg"])
def test_images_of_every_kind(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image{suffix}"
    Image.fromarray(numbered_picture(77)).save(path, quality=95)
    image = read_image(path, frame_size=64, aspect="stretch")
    assert image.shape == (3, 64, 64) and image.dtype == torch.uint8
    assert number_of(image.permute(1, 2, 0).numpy()) == 77
    assert is_image_file(path) and is_image_file(str(path).upper())
    assert not is_image_file("clip.mp4")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(orientation: int, tmp_path: Path) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = Image.fromarray(numbered_picture(77))
    stored = picture.transpose(undo[orientation]) if orientation in undo else picture
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "turned.jpg", frame_size=64, aspect="stretch")
    assert number_of(image.permute(1, 2, 0).numpy()) == 77


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_images_of_every_mode_become_rgb(mode: str, tmp_path: Path) -> None:
    grey = np.full((70, 70), 200, dtype=np.uint8)
    if mode == "I;16":
        Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "image.tiff")
    else:
        Image.fromarray(grey).convert("RGB").convert(mode).save(tmp_path / "image.tiff")
    image = read_image(tmp_path / "image.tiff", frame_size=64)
    assert image.shape == (3, 64, 64)
    if mode not in ("1", "P"):  # both mix their few colours to come near
        assert (image.int() - 200).abs().max() <= 3


def test_transparency_in_a_palette_makes_no_warning(tmp_path: Path) -> None:
    palette = Image.fromarray(numbered_picture(5)).convert("P")
    palette.save(tmp_path / "palette.png", transparency=bytes([0, 128, 255]))
    assert read_image(tmp_path / "palette.png", frame_size=64).shape == (3, 64, 64)


def test_images_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(smooth_picture(70, 70)).save(whole)
    cases = {
        "cut.png": (whole.read_bytes()[:2000], "cannot be decoded.*copy or download it again"),
        "text.png": (b"just words", "is no image of a known kind.*convert it to PNG"),
        "empty.png": (b"", "is empty"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MediaError, match=message):
            read_image(tmp_path / name, frame_size=64)
    monkeypatch.setattr(frames, "MAX_IMAGE_PIXELS", 70 * 70 - 1)
    with pytest.raises(MediaError, match="has 70x70 pixels, more than 4899; scale it down"):
        read_image(whole, frame_size=64)


def test_an_image_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    Image.fromarray(smooth_picture(70, 70)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(MediaError, match="has too many pixels.*scale it down"):
        read_image(path, frame_size=64)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70 * 70 - 1)  # PIL only warns here
    assert read_image(path, frame_size=64).shape == (3, 64, 64)


@pytest.mark.parametrize("frame_size", [0, -64, 100, 63, True])
def test_a_side_that_is_no_multiple_of_64(frame_size: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="positive multiple of 64 px"):
        square_frames(torch.zeros((1, 3, 8, 8), dtype=torch.uint8), frame_size=frame_size)
    with pytest.raises(ValueError, match="positive multiple of 64 px"):
        read_image(tmp_path / "missing.png", frame_size=frame_size)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros((3, 8, 8), dtype=torch.uint8),
        torch.zeros((1, 8, 8, 3), dtype=torch.uint8),
        torch.zeros((1, 3, 8, 8)),
    ],
)
def test_frames_of_another_shape_or_dtype(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected \(T, 3, H, W\) torch.uint8"):
        square_frames(wrong, frame_size=64)


def test_an_unknown_aspect() -> None:
    with pytest.raises(ValueError, match="unknown aspect 'crp'.*Did you mean 'crop'"):
        square_frames(torch.zeros((1, 3, 8, 8), dtype=torch.uint8), frame_size=64, aspect="crp")
