"""The random checkpoints have the shape of the real ones, counted without memory."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from transformers import FastVlmForConditionalGeneration


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("make_random_checkpoint")


def test_0_5b_has_the_parameters_of_the_real_one(script: ModuleType) -> None:
    config = script.make_config("0.5b", frame_size=256, image_token_id=151646)
    with torch.device("meta"):
        model = FastVlmForConditionalGeneration(config)
    parts = model.model
    assert parts.vision_tower.num_parameters() == 122_714_208
    assert sum(w.numel() for w in parts.multi_modal_projector.parameters()) == 3_557_120
    assert model.num_parameters() == 620_361_440
    assert model.lm_head.weight.shape == (152_000, 896)
    assert config.text_config.rope_parameters["rope_theta"] == 1e6


@pytest.mark.parametrize("size", ["tiny", "1.5b"])
def test_every_size_can_be_built(script: ModuleType, size: str) -> None:
    config = script.make_config(size, frame_size=512, image_token_id=151646)
    with torch.device("meta"):
        model = FastVlmForConditionalGeneration(config)
    assert config.image_seq_length == 64
    assert model.get_input_embeddings().weight.shape[0] == 152_000
