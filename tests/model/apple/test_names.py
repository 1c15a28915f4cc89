"""Tensor names of the two layouts, held against Apple's own names and timm's own renaming."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import timm
import torch
from timm.models.fastvit import checkpoint_filter_fn

from flipbook.model.apple.names import (
    APPLE_TOWER,
    CONSTANT_TENSOR,
    TOWER,
    to_apple_name,
    to_fast_vlm_name,
)

PAIRS = [
    ("patch_embed.0.reparam_conv.weight", "stem.0.reparam_conv.weight"),
    (
        "network.0.1.token_mixer.reparam_conv.bias",
        "stages.0.blocks.1.token_mixer.reparam_conv.bias",
    ),
    ("network.0.0.layer_scale", "stages.0.blocks.0.layer_scale.gamma"),
    ("network.1.proj.0.lkb_reparam.weight", "stages.1.downsample.proj.0.reparam_conv.weight"),
    ("network.1.proj.1.reparam_conv.bias", "stages.1.downsample.proj.1.reparam_conv.bias"),
    ("network.2.11.convffn.conv.bn.running_var", "stages.1.blocks.11.mlp.conv.bn.running_var"),
    ("network.4.23.convffn.fc2.weight", "stages.2.blocks.23.mlp.fc2.weight"),
    ("network.6.reparam_conv.weight", "stages.3.pos_emb.reparam_conv.weight"),
    ("network.7.0.token_mixer.qkv.weight", "stages.3.blocks.0.token_mixer.qkv.weight"),
    ("network.7.3.layer_scale_1", "stages.3.blocks.3.layer_scale_1.gamma"),
    ("network.8.proj.0.lkb_reparam.bias", "stages.4.downsample.proj.0.reparam_conv.bias"),
    ("network.9.reparam_conv.bias", "stages.4.pos_emb.reparam_conv.bias"),
    ("network.10.1.layer_scale_2", "stages.4.blocks.1.layer_scale_2.gamma"),
    ("network.10.0.norm.weight", "stages.4.blocks.0.norm.weight"),
    ("conv_exp.se.reduce.weight", "final_conv.se.fc1.weight"),
    ("conv_exp.se.expand.bias", "final_conv.se.fc2.bias"),
    ("conv_exp.reparam_conv.weight", "final_conv.reparam_conv.weight"),
]
LANGUAGE_PAIRS = [
    ("model.mm_projector.0.weight", "model.multi_modal_projector.linear_1.weight"),
    ("model.mm_projector.2.bias", "model.multi_modal_projector.linear_2.bias"),
    ("model.embed_tokens.weight", "model.language_model.embed_tokens.weight"),
    (
        "model.layers.3.self_attn.q_proj.bias",
        "model.language_model.layers.3.self_attn.q_proj.bias",
    ),
    ("model.norm.weight", "model.language_model.norm.weight"),
    ("lm_head.weight", "lm_head.weight"),
]


@pytest.fixture(scope="module")
def tower_names() -> list[str]:
    """Tensor names of the full-size tower, which is built without memory."""
    with torch.device("meta"):
        tower = timm.create_model("fastvit_mci3", num_classes=0, inference_mode=True)
    return [TOWER + name for name in tower.state_dict()]


@pytest.mark.parametrize(("theirs", "ours"), PAIRS)
def test_a_tensor_of_the_tower_is_renamed_both_ways(theirs: str, ours: str) -> None:
    assert to_fast_vlm_name(APPLE_TOWER + theirs) == TOWER + ours
    assert to_apple_name(TOWER + ours) == APPLE_TOWER + theirs


@pytest.mark.parametrize(("theirs", "ours"), LANGUAGE_PAIRS)
def test_projector_and_language_model_are_renamed_both_ways(theirs: str, ours: str) -> None:
    assert to_fast_vlm_name(theirs) == ours
    assert to_apple_name(ours) == theirs


def test_the_renaming_covers_the_full_size_tower_one_to_one(tower_names: list[str]) -> None:
    theirs = [to_apple_name(name) for name in tower_names]
    assert len({*theirs, CONSTANT_TENSOR}) == 629  # as many as Apple's file holds
    assert [to_fast_vlm_name(str(name)) for name in theirs] == tower_names


def test_timm_itself_undoes_the_renaming(tower_names: list[str]) -> None:
    theirs = [str(to_apple_name(name)).removeprefix(APPLE_TOWER) for name in tower_names]
    renamed = checkpoint_filter_fn(dict.fromkeys(theirs, torch.zeros(1)), torch.nn.Identity())
    assert list(_finish(renamed)) == [name.removeprefix(TOWER) for name in tower_names]


def _finish(names: dict[str, torch.Tensor]) -> Iterator[str]:
    """Rename the two kinds of fused convolution, which timm's renaming does not know."""
    for name in names:
        fused = name.replace("lkb_reparam", "reparam_conv")
        yield fused.replace("blocks.reparam_conv", "pos_emb.reparam_conv")


@pytest.mark.parametrize(
    "name", ["model.image_newline", "vision_tower.x", APPLE_TOWER + "network.11.0.x", ""]
)
def test_a_name_of_another_model_is_not_renamed(name: str) -> None:
    assert to_fast_vlm_name(name) is None


def test_an_adapter_has_no_name_in_apples_layout() -> None:
    assert to_apple_name("base_model.model.lm_head.weight") is None
