from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from fixtures_data import Tune
from fixtures_model import make_checkpoint
from flipbook.model.tuning import LORA_TARGETS
from flipbook.train import run
from flipbook.train.planning import memory
from flipbook.train.planning.memory import (
    MemoryPlan,
    available_bytes,
    kept_bytes,
    plan_memory,
    row_of_tokens,
)


def test_what_a_long_row_keeps_is_known_from_short_ones() -> None:
    model = make_checkpoint().model
    for dtype in (None, torch.bfloat16):
        plan = plan_memory(model, longest_tokens=1000, autocast_dtype=dtype)
        measured = kept_bytes(model, row_of_tokens(model, 1000), autocast_dtype=dtype)
        assert abs(plan.activation_bytes - measured) < 0.02 * measured


def test_only_what_trains_has_gradients_and_moments() -> None:
    model = make_checkpoint().model
    num_weights = sum(p.numel() for p in model.parameters())
    assert plan_memory(model, longest_tokens=100).optimizer_bytes == 12 * num_weights
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=LORA_TARGETS))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    plan = plan_memory(adapted, longest_tokens=100)
    assert plan.optimizer_bytes == 12 * trained
    assert plan.available_bytes > 0


def test_activations_that_do_not_fit_are_computed_twice() -> None:
    roomy = MemoryPlan(10, 20, available_bytes=100, longest_tokens=5)
    tight = MemoryPlan(10, 80, available_bytes=100, longest_tokens=5)
    assert not roomy.is_tight
    assert "5 tokens" in str(roomy)
    assert str(roomy).endswith("kept.")
    assert tight.is_tight
    assert str(tight).endswith("computed twice (--activation_checkpointing).")


def test_measuring_draws_no_random_numbers_of_the_run() -> None:
    config = LoraConfig(r=2, target_modules=LORA_TARGETS, lora_dropout=0.5)
    model = get_peft_model(make_checkpoint().model, config).train()
    before = torch.get_rng_state()
    plan_memory(model, longest_tokens=100)
    assert torch.equal(torch.get_rng_state(), before)


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("", (), {"available": 800}))
    assert available_bytes(torch.device("cpu")) == 800
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert available_bytes(torch.device("cpu")) == 200


def test_where_memory_is_short_all_parts_compute_twice_and_learn_the_same(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"train_parts": "vision_tower language_model", "warmup_steps": 0, "max_steps": 3}
    roomy = tune(tmp_path / "roomy", **settings)
    found: list[bool] = []
    save = run.save_run

    def note_and_save(trainer: Any, *args: Any, **kwargs: Any) -> Path:
        tower = trainer.model.model.vision_tower
        found.append(trainer.model.is_activation_checkpointing)
        found.append(
            any(getattr(module, "grad_checkpointing", False) for module in tower.modules())
        )
        return save(trainer, *args, **kwargs)

    monkeypatch.setattr(run, "save_run", note_and_save)
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1000)
    tight = tune(tmp_path / "tight", **settings)
    assert found == [True, True]
    expected = load_file(roomy.model_folder / "model.safetensors")
    for name, tensor in load_file(tight.model_folder / "model.safetensors").items():
        assert torch.allclose(tensor, expected[name], atol=1e-4), name
