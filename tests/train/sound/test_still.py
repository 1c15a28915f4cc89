from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import TrainerControl, TrainerState

from fixtures_data import Tune
from fixtures_model import make_model
from flipbook.errors import TrainingError
from flipbook.model.tuning import choose_trainable, modules_at_rest, part_of
from flipbook.train import trainer as trainers
from flipbook.train.arguments import TrainingArguments
from flipbook.train.sound.still import StillCheck, digest

pytestmark = pytest.mark.guarantee(6)
Change = Callable[[Any], None]


def _alone() -> Any:
    """Return a stand-in for what would add up what several processes find."""
    return SimpleNamespace(distributed_type="NO", reduce=lambda tensor, reduction: tensor)


def _run(
    change: Change,
    *,
    parts: str = "projector language_model",
    rate: float = 1e-3,
    train_batch_norm: bool = False,
    sees_frames: bool = True,
    undo: Change | None = None,
) -> None:
    """Let the check see a model before and after a change in place of training."""
    model = choose_trainable(make_model(260), parts.split())
    check = StillCheck(
        _alone(),
        modules_at_rest(model, train_batch_norm=train_batch_norm),
        sees_frames=sees_frames,
    )
    args = TrainingArguments(use_cpu=True, report_to="none")
    groups = [{"part": part, "lr": rate} for part in parts.split()]
    told: Any = {"model": model, "optimizer": torch.optim.SGD([torch.zeros(1)], lr=1.0)}
    told["optimizer"].param_groups = groups
    state, control = TrainerState(), TrainerControl()
    check.on_train_begin(args, state, control, **told)
    check.on_step_begin(args, state, control, **told)
    change(model)
    check.on_epoch_end(args, state, control, **told)
    if undo is not None:
        undo(model)
        state.best_model_checkpoint = "RUN/checkpoint-1"
    check.on_train_end(args, state, control, **told)


@torch.no_grad()
def _learn(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name.endswith("bias"):
            parameter.view(-1)[-1] += 1


def _norm(model: nn.Module) -> nn.Module:
    return next(m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))


def test_a_model_of_which_the_named_parts_learned_is_let_through() -> None:
    _run(_learn)
    _run(_learn, parts="vision_tower projector language_model")


def test_a_frozen_weight_that_changed_in_its_last_bit_is_named() -> None:
    def change(model: Any) -> None:
        _learn(model)
        weight = next(p for n, p in model.named_parameters() if part_of(n) == "vision_tower")
        weight.data.view(-1)[-1].view(torch.int32).bitwise_xor_(1)

    with pytest.raises(TrainingError, match=r"Frozen tensors .*: model\.vision_tower\..*no model"):
        _run(change)


@pytest.mark.parametrize("name", ["running_mean", "running_var", "num_batches_tracked"])
def test_a_buffer_of_a_frozen_tower_that_changed_is_named(name: str) -> None:
    def change(model: Any) -> None:
        _learn(model)
        getattr(_norm(model), name).add_(1)

    with pytest.raises(TrainingError, match=name):
        _run(change)
    with pytest.raises(TrainingError, match=name):  # nor do those of a tower that learns
        _run(change, parts="vision_tower projector language_model")
    _run(change, parts="vision_tower projector language_model", train_batch_norm=True)


def test_a_part_that_learned_nothing_is_named() -> None:
    def change(model: Any) -> None:
        model.model.multi_modal_projector.linear_1.bias.data += 1

    with pytest.raises(TrainingError, match="Nothing of language_model has changed after 0 steps"):
        _run(change)
    _run(change, rate=0.0)  # a run that was stopped in the first step of its warm-up


@torch.no_grad()
def _forget(model: nn.Module) -> None:
    for (_, parameter), (_, before) in zip(
        model.named_parameters(), make_model(260).named_parameters(), strict=True
    ):
        parameter.copy_(before)


def test_a_best_model_that_is_the_start_model_is_told(caplog: pytest.LogCaptureFixture) -> None:
    _run(_learn, undo=_forget)
    assert (
        "best evaluation, RUN/checkpoint-1, is of a model that had learned nothing" in caplog.text
    )


def test_without_frames_the_projector_need_not_learn() -> None:
    def change(model: Any) -> None:
        model.lm_head.weight.data += 1

    _run(change, sees_frames=False)
    with pytest.raises(TrainingError, match="Nothing of projector has changed"):
        _run(change)


def test_a_tower_left_in_training_mode_is_found_out(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`model.train()`, which the library calls, moves the statistics of a frozen tower."""
    monkeypatch.setattr(trainers, "keep_at_rest", lambda modules: None)
    with pytest.raises(TrainingError, match=r"running_(mean|var)"):
        tune(max_steps=1)


def test_a_digest_is_of_kind_shape_and_every_byte() -> None:
    whole = torch.arange(6, dtype=torch.float32)
    assert digest(whole) == digest(whole.clone())
    others = [whole.view(2, 3), whole.view(torch.int32), whole[:5], torch.tensor(0.0)]
    assert len({digest(tensor) for tensor in (whole, *others)}) == 5
    assert digest(whole.view(2, 3).T.contiguous().T) == digest(whole.view(2, 3))
    assert digest(torch.tensor(0.0)) != digest(torch.tensor(-0.0))
    assert digest(torch.zeros(2, dtype=torch.bfloat16)) != digest(torch.zeros(2).half())
