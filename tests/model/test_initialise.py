"""A FastVLM made from a configuration must see: its logits depend on every frame, in order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import FastVlmConfig, FastVlmForConditionalGeneration

from flipbook.model.initialise import initialise_, probe_images

FRAME_SIZE = 128
TOKENS_PER_FRAME = 4
IMAGE_TOKEN_ID = 99


def small_model() -> Any:
    """Return the smallest FastVLM with every kind of layer, under half a million parameters."""
    tower = {"inference_mode": True, "layers": (1, 1, 1, 1, 1), "embed_dims": (16, 32, 32, 32, 64)}
    vision = {"model_type": "timm_wrapper", "architecture": "fastvit_mci3", "hidden_size": 128}
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 100}
    config = FastVlmConfig(
        vision_config=vision | {"model_args": tower},
        text_config={"model_type": "qwen2", "tie_word_embeddings": True} | sizes | heads,
        image_token_index=IMAGE_TOKEN_ID,
        tie_word_embeddings=True,
    )
    return FastVlmForConditionalGeneration(config)


@pytest.fixture(scope="module")
def model() -> Any:
    made = small_model()
    initialise_(made, seed=0, frame_size=FRAME_SIZE)
    return made.eval()


@torch.no_grad()
def last_logits(model: Any, frames: torch.Tensor) -> torch.Tensor:
    ids = torch.tensor([[IMAGE_TOKEN_ID] * TOKENS_PER_FRAME * len(frames) + [5, 6]])
    return model(input_ids=ids, pixel_values=frames).logits[0, -1]  # (V,)


@torch.no_grad()
def test_features_of_different_pictures_differ(model: Any) -> None:
    pictures = probe_images(6, frame_size=FRAME_SIZE, seed=7)
    outputs = model.model.get_image_features(pixel_values=pictures)
    assert outputs.last_hidden_state.std(dim=0).mean() > 1e-2
    assert outputs.pooler_output.std(dim=0).mean() > 1e-2


@torch.no_grad()
def test_without_it_the_tower_is_blind() -> None:
    blind = small_model().eval()
    pictures = probe_images(6, frame_size=FRAME_SIZE, seed=7)
    features = blind.model.get_image_features(pixel_values=pictures).last_hidden_state
    assert features.std(dim=0).mean() < 1e-4


def test_logits_depend_on_every_frame_and_on_their_order(model: Any) -> None:
    frames = probe_images(4, frame_size=FRAME_SIZE, seed=8)
    full = last_logits(model, frames)
    for frame_index in range(4):
        changed = frames.clone()
        changed[frame_index] = 1 - changed[frame_index]
        assert (last_logits(model, changed) - full).abs().max() > 1e-2
    assert (last_logits(model, frames.flip(0)) - full).abs().max() > 1e-2


def test_same_seed_gives_the_same_weights_whatever_the_global_state(model: Any) -> None:
    torch.manual_seed(123)
    again = small_model()
    initialise_(again, seed=0, frame_size=FRAME_SIZE)
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    initialise_(again, seed=1, frame_size=FRAME_SIZE)
    weight = "model.multi_modal_projector.linear_1.weight"
    assert not torch.equal(again.state_dict()[weight], model.state_dict()[weight])


def test_buffers_are_finite_and_modes_and_ties_are_kept() -> None:
    made = small_model().train()
    initialise_(made, seed=3, frame_size=FRAME_SIZE)
    assert all(torch.isfinite(buffer).all() for buffer in made.buffers())
    variances = [b for name, b in made.named_buffers() if name.endswith("running_var")]
    assert variances
    assert all(variance.min() > 0 for variance in variances)
    assert all(module.training for module in made.modules())
    assert made.lm_head.weight is made.model.language_model.embed_tokens.weight
