"""The random checkpoints have the shape of the real ones, counted without memory."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from transformers import FastVlmForConditionalGeneration

from flipbook.model.words import add_image_token


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


def test_7b_has_the_shapes_and_the_words_of_the_real_one(script: ModuleType) -> None:
    tokenizer = script.make_tokenizer("7b", knows_image=False)
    assert "<image>" not in tokenizer.get_vocab()
    image_token_id = add_image_token(tokenizer)
    assert image_token_id == 151665  # behind the words that Qwen2.5 has and Qwen2 has not
    assert tokenizer.convert_tokens_to_ids("<|file_sep|>") == 151664
    config = script.make_config("7b", frame_size=256, image_token_id=image_token_id)
    with torch.device("meta"):
        model = FastVlmForConditionalGeneration(config)
    assert model.lm_head.weight.shape == (152_064, 3584)
    assert model.lm_head.weight is not model.get_input_embeddings().weight
    assert model.num_parameters() == 7_615_616_512 + 122_714_208 + 23_862_272  # Qwen2-7B's
