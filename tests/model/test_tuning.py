from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from fixtures_model import make_checkpoint
from flipbook.errors import ArgumentError
from flipbook.model.tuning import (
    LoraSettings,
    cast_frozen,
    check_parts,
    choose_trainable,
    parameter_groups,
    part_of,
    part_sizes,
    set_train_mode,
)


@pytest.fixture(scope="module")
def original() -> Any:
    return make_checkpoint().model


@pytest.fixture
def model(original: Any) -> Any:
    return copy.deepcopy(original)


def _trainable_parts(model: Any) -> set[str]:
    return {part_of(name) for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    "parts",
    [
        ["projector"],
        ["projector", "language_model"],
        ["vision_tower", "projector", "language_model"],
    ],
)
def test_exactly_the_named_parts_train(model: Any, parts: list[str]) -> None:
    choose_trainable(model, parts)
    assert _trainable_parts(model) == set(parts)
    for size in part_sizes(model):
        assert size.num_trainable == (size.num_weights if size.part in parts else 0)


def test_trained_weights_are_float32_and_frozen_ones_may_not_be(model: Any) -> None:
    model.bfloat16()
    choose_trainable(model, ["projector"])
    cast_frozen(model, torch.bfloat16)
    dtypes = {(part_of(n), p.dtype) for n, p in model.named_parameters()}
    assert dtypes == {
        ("vision_tower", torch.bfloat16),
        ("projector", torch.float32),
        ("language_model", torch.bfloat16),
    }


def test_lora_adapts_the_language_model_and_trains_the_projector(model: Any, original: Any) -> None:
    wrapped = choose_trainable(
        model, ["projector", "language_model"], lora=LoraSettings(rank=2, alpha=4.0)
    )
    trained = [name for name, p in wrapped.named_parameters() if p.requires_grad]
    assert all("lora_" in n or "multi_modal_projector" in n for n in trained)
    adapted = {n.split(".lora_")[0] for n in trained if "lora_" in n}
    assert len(adapted) == 2 * 7  # layers, each with q k v o gate up down
    assert all("language_model.layers" in name for name in adapted)
    assert _trainable_parts(wrapped) == {"projector", "language_model"}
    projector = part_sizes(wrapped)[1]
    assert (
        projector.num_weights
        == projector.num_trainable
        == sum(p.numel() for p in original.model.multi_modal_projector.parameters())
    )


def test_unknown_or_empty_parts_are_refused() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'projector'"):
        check_parts(["projektor"])
    with pytest.raises(ArgumentError, match="nothing to train"):
        check_parts([])
    assert check_parts(["language_model", "projector"]) == ("projector", "language_model")


def test_lora_without_the_language_model_is_refused(model: Any) -> None:
    with pytest.raises(ArgumentError, match="Add language_model"):
        choose_trainable(model, ["projector"], lora=LoraSettings(rank=2, alpha=4.0))
    with pytest.raises(ArgumentError, match="at least 1"):
        LoraSettings(rank=0, alpha=1.0)
    with pytest.raises(ArgumentError, match="lora_dropout"):
        LoraSettings(rank=1, alpha=1.0, dropout=1.0)


def test_a_frozen_tower_stays_in_eval_mode(model: Any) -> None:
    choose_trainable(model, ["projector", "language_model"])
    set_train_mode(model)
    assert not any(m.training for m in model.model.vision_tower.modules())
    assert model.model.language_model.training
    assert model.model.multi_modal_projector.training


@pytest.mark.parametrize("train_batch_norm", [False, True])
def test_batch_norm_of_a_trained_tower_moves_only_when_asked(
    model: Any, train_batch_norm: bool
) -> None:
    choose_trainable(model, ["vision_tower"])
    set_train_mode(model, train_batch_norm=train_batch_norm)
    norms = [m for m in model.model.vision_tower.modules() if isinstance(m, _BatchNorm)]
    others = [m for m in model.model.vision_tower.modules() if not isinstance(m, _BatchNorm)]
    assert norms
    assert all(norm.training is train_batch_norm for norm in norms)
    assert all(other.training for other in others)


def test_every_part_has_its_rate_and_norms_do_not_decay(model: Any) -> None:
    choose_trainable(model, ["vision_tower", "projector", "language_model"])
    names = [n for n, p in model.named_parameters() if p.ndim > 1]
    groups = parameter_groups(
        model,
        learning_rate=1e-3,
        part_learning_rates={"vision_tower": 1e-5, "projector": None},
        weight_decay=0.1,
        decay_names=names,
    )
    rates = {group["part"]: group["lr"] for group in groups}
    assert rates == {"vision_tower": 1e-5, "projector": 1e-3, "language_model": 1e-3}
    counted = [p for group in groups for p in group["params"]]
    assert len(counted) == len({id(p) for p in counted}) == len(list(model.parameters()))
    for group in groups:
        decays = {p.ndim > 1 for p in group["params"]}
        assert decays == {group["weight_decay"] > 0}
