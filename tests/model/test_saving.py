"""A saved folder: plain transformers loads it, and flipbook finds again what it saved."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from fixtures_model import make_checkpoint
from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.saving import save_checkpoint
from flipbook.video.frames import square_frames
from flipbook.video.settings import ClipSettings

CLEAN_PROCESS = """
import sys, torch, numpy as np
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
model = AutoModelForImageTextToText.from_pretrained(sys.argv[1])
processor = AutoProcessor.from_pretrained(sys.argv[1])
content = [{"type": "image", "image": Image.fromarray(np.full((90, 160, 3), 128, np.uint8))}] * 2
content.append({"type": "text", "text": "Why?"})
inputs = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=True,
    add_generation_prompt=True, return_dict=True, return_tensors="pt")
answer = model.generate(**inputs, max_new_tokens=2)
assert "flipbook" not in sys.modules
print(tuple(inputs["pixel_values"].shape), int((inputs["input_ids"] == 260).sum()))
print(processor.batch_decode(inputs["input_ids"])[0], end="")
"""


def test_plain_transformers_loads_the_folder_in_a_clean_process(fast_vlm_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLEAN_PROCESS, str(fast_vlm_folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    images = "<image><image><image><image>\n" * 2
    assert done.stdout == (
        "(2, 3, 128, 128) 8\n<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{images}Why?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_what_is_saved_is_what_was_in_memory(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(sampler="fps", system_prompt="Be brief.")
    checkpoint.image_mean, checkpoint.image_std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    loaded = load_checkpoint(save_checkpoint(tmp_path / "new" / "folder", checkpoint))
    assert loaded.settings == checkpoint.settings
    assert (loaded.image_mean, loaded.image_std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[name])
    assert loaded.tokenizer.get_vocab() == checkpoint.tokenizer.get_vocab()


def test_weights_are_saved_as_safetensors_alone(fast_vlm_folder: Path) -> None:
    files = {path.name for path in fast_vlm_folder.iterdir()}
    assert {"model.safetensors", "config.json", "flipbook.json", "generation_config.json"} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]


@pytest.mark.parametrize("aspect", ["pad", "crop", "stretch"])
def test_the_processor_makes_squares_as_training_did(tmp_path: Path, aspect: str) -> None:
    save_checkpoint(tmp_path, make_checkpoint(aspect=aspect))
    processor = AutoProcessor.from_pretrained(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((320, 180), Image.Resampling.BICUBIC)
    theirs = processor.image_processor(picture, return_tensors="pt")["pixel_values"][0]
    upright = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]  # (1, 3, H, W)
    ours = square_frames(upright, frame_size=128, aspect=aspect)[0]
    difference = (theirs - ours / 255).abs()
    assert theirs.shape == (3, 128, 128)
    assert difference.max() <= 3 / 255  # another resizing backend rounds otherwise
    assert difference.mean() <= 0.5 / 255
    loaded = load_checkpoint(tmp_path)
    assert (loaded.frame_size, loaded.aspect) == (128, aspect)


def test_apples_licence_stays_with_what_is_made_from_it(apple_folder: Path, tmp_path: Path) -> None:
    assert load_checkpoint(save_checkpoint(tmp_path, load_checkpoint(apple_folder))).research_only


def test_without_settings_the_side_and_aspect_of_the_start_are_saved(
    apple_folder: Path, tmp_path: Path
) -> None:
    loaded = load_checkpoint(apple_folder)
    assert loaded.settings is None
    save_checkpoint(tmp_path, dataclasses.replace(loaded, aspect="crop"))
    assert ClipSettings.load(tmp_path) == ClipSettings(frame_size=128, aspect="crop")


def test_large_weights_are_saved_in_several_files(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    save_checkpoint(tmp_path, checkpoint, max_shard_size="300KB")
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    assert (tmp_path / "model.safetensors.index.json").is_file()
    loaded = load_checkpoint(tmp_path).model.state_dict()
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, loaded[name])
