"""What follows from a shape is what the model of that shape really holds."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from fixtures_model import make_checkpoint, make_model
from flipbook.model.attention import IMPLEMENTATIONS, set_attention
from flipbook.model.tuning import set_train_mode
from flipbook.train.arguments import (
    Arguments,
    DataArguments,
    ModelArguments,
    TrainingArguments,
)
from flipbook.train.features import autocast_dtype
from flipbook.train.planning.footprint import QUANTISED_BYTES, footprint_of, shape_model
from flipbook.train.planning.memory import kept_bytes, row_of_tokens
from flipbook.train.start import lora_of, prepare_model

ALL_PARTS = {"train_parts": ["vision_tower", "projector", "language_model"]}


def arguments(*, bf16: bool = False, recompute: bool = False, **words: Any) -> Arguments:
    training = TrainingArguments(
        use_cpu=True, report_to="none", bf16=bf16, activation_checkpointing=recompute
    )
    return Arguments(ModelArguments(**words), DataArguments(), training)


def real_model(args: Arguments) -> Any:
    """The small model as a run prepares it, with numbers."""
    checkpoint = make_checkpoint()
    model = prepare_model(args, checkpoint, lora=lora_of(args.model))
    set_attention(model, IMPLEMENTATIONS["sdpa"])
    set_train_mode(model)
    return model


def num_trained(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    "words", [{}, {"lora_r": 4}, {"bf16": True}, {"lora_r": 4, "bf16": True}], ids=str
)
def test_a_token_keeps_what_it_keeps_in_the_real_model(words: dict[str, Any]) -> None:
    args = arguments(**words)
    model = real_model(args)
    footprint = footprint_of(model.config, args)
    kept = kept_bytes(
        model, row_of_tokens(model, 300), autocast_dtype=autocast_dtype(args.training)
    )
    assert footprint.copies + 300 * footprint.token == pytest.approx(kept, rel=0.01)
    assert footprint.token > 2 * footprint.layer_token * 0.99  # of two layers, and a last norm
    assert footprint.num_trained == num_trained(model)


@pytest.mark.parametrize("words", [{}, {"lora_r": 4, "bf16": True}, ALL_PARTS], ids=str)
def test_weights_take_what_they_take_in_the_real_model(words: dict[str, Any]) -> None:
    args = arguments(**words)
    model = real_model(args)
    held = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    assert footprint_of(model.config, args).weights == pytest.approx(held, rel=1e-3)


def test_more_layers_are_as_many_times_one_layer() -> None:
    args = arguments()
    config = make_model(5).config
    small = footprint_of(config, args)
    config.text_config.num_hidden_layers = 5
    config.text_config.layer_types = ["full_attention"] * 5
    large = footprint_of(config, args)
    assert large.token - small.token == 3 * small.layer_token
    assert large.residual_token == 5 * 64 * 4
    assert large.num_trained == num_trained(shape_model(config, args))


def test_only_a_tower_that_trains_keeps_pixels() -> None:
    config = make_model(5).config
    assert footprint_of(config, arguments()).px == 0
    args = arguments(**ALL_PARTS)
    model = real_model(args)
    footprint = footprint_of(config, args)
    tower = model.model.vision_tower
    frames = torch.zeros(2, 3, 192, 192)
    kept = kept_bytes(model, lambda: tower(frames).last_hidden_state)
    assert footprint.px * frames[:, 0].numel() == pytest.approx(kept, rel=0.05)
    assert footprint.num_trained_tower == num_trained(tower)


def test_a_tower_that_is_computed_twice_is_told_apart_later() -> None:
    config = make_model(5).config
    kept = footprint_of(config, arguments(**ALL_PARTS))
    twice = footprint_of(config, arguments(recompute=True, **ALL_PARTS))
    assert twice == kept


def test_what_does_not_train_has_no_gradient_of_its_head() -> None:
    config = make_model(5).config
    assert footprint_of(config, arguments()).head == 320 * 64 * 4
    assert footprint_of(config, arguments(lora_r=4)).head == 0


def test_quantised_layers_take_a_part_of_their_bytes() -> None:
    config = make_model(5).config
    args = arguments(lora_r=4, bf16=True)
    words = dataclasses.replace(args.model, quantize="4bit")
    quantised = dataclasses.replace(args, model=words)
    layers = [n for n, p in make_model(5).named_parameters() if n.endswith("proj.weight")]
    weights = dict(make_model(5).named_parameters())
    num = sum(weights[name].numel() for name in layers if "language_model" in name)
    saved = footprint_of(config, args).weights - footprint_of(config, quantised).weights
    assert saved == pytest.approx(num * (2 - QUANTISED_BYTES["4bit"]), rel=0.01)


def test_a_shape_has_no_numbers() -> None:
    model = shape_model(make_model(5).config, arguments(lora_r=4))
    assert all(parameter.is_meta for parameter in model.parameters())
