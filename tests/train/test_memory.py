from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from fixtures_model import make_checkpoint
from flipbook.model.tuning import LORA_TARGETS
from flipbook.train.memory import MemoryPlan, _kept_bytes, available_bytes, plan_memory


def test_what_a_long_row_keeps_is_known_from_short_ones() -> None:
    model = make_checkpoint().model
    for dtype in (None, torch.bfloat16):
        plan = plan_memory(model, longest_tokens=1000, autocast_dtype=dtype)
        measured = _kept_bytes(model, 1000, dtype)
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
