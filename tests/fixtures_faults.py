"""How is one number of a run spoilt, at one batch of one step of one process?

Fault, a function that patches  ->  Watched: which records it met, and the weights before that step
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from flipbook.model import fastvlm
from flipbook.train import trainer as trainers
from flipbook.train.sound.still import digests

Patch = Callable[[Any, str, Any], None]


@dataclass(frozen=True)
class Fault:
    """`kind` is one of: loss, gradient, weight, feature, frame, label."""

    kind: str
    value: float = math.nan
    rank: int = 0
    step: int = 2
    batch: int = 1


@dataclass
class Watched:
    """What a run with a fault was before it, and whom it met."""

    model: Any = None
    records: list[str] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    place: tuple[int, int, int] = (0, 0, 0)  # process, step, batch
    is_here: bool = False

    def state(self) -> dict[str, str]:
        return digests(self.model.state_dict().items())


def spoil(tensor: Tensor, value: float) -> Tensor:
    """Return a copy of which the first number is another one."""
    spoilt = tensor.detach().clone().contiguous()
    spoilt.view(-1)[0] = value
    return spoilt


def plant(fault: Fault, patch: Patch) -> Watched:
    """Return what is seen of the runs from now on, which have the fault."""
    watched = Watched()
    compute_loss = trainers.FlipbookTrainer.compute_loss

    def compute(self: Any, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if model.training:
            inputs = _arrive(watched, fault, self, inputs)
        try:
            return compute_loss(self, model, inputs, *args, **kwargs)
        finally:
            watched.is_here = False

    patch(trainers.FlipbookTrainer, "compute_loss", compute)
    _plant_inside(watched, fault, patch)
    return watched


def _arrive(watched: Watched, fault: Fault, trainer: Any, inputs: Any) -> Any:
    """Note a batch, and spoil what is there before its loss."""
    watched.model = trainer.accelerator.unwrap_model(trainer.model)
    step = trainer.state.global_step + 1
    batch = watched.place[2] + 1 if watched.place[1] == step else 1
    watched.place = (trainer.args.process_index, step, batch)
    if step == fault.step and batch == 1:
        if fault.kind == "weight" and watched.place[0] == fault.rank:
            _a_weight(watched.model).data.view(-1)[0] = fault.value
        watched.before = watched.state()
    watched.is_here = watched.place == (fault.rank, fault.step, fault.batch)
    if watched.is_here:
        watched.records = inputs["record_ids"]
        if fault.kind == "label":
            labels = torch.full_like(inputs["labels"], -100)
            return {**inputs, "labels": labels, "num_targets": 0}
        if fault.kind == "gradient":
            handle = _a_weight(watched.model).register_hook(lambda gradient: once(gradient))

            def once(gradient: Tensor) -> Tensor:
                handle.remove()
                return spoil(gradient, fault.value)

    return inputs


def _a_weight(model: Any) -> Any:
    return model.model.language_model.layers[0].mlp.down_proj.weight


def _plant_inside(watched: Watched, fault: Fault, patch: Patch) -> None:
    """Spoil what is made on the way from frames to the loss."""
    supervised_loss, encode_visuals = trainers.supervised_loss, trainers.encode_visuals
    normalise_frames = fastvlm.normalise_frames

    def loss(*args: Any, **kwargs: Any) -> Any:
        result = supervised_loss(*args, **kwargs)
        if watched.is_here and fault.kind == "loss":
            return type(result)(result.loss * fault.value, result.num_targets)
        return result

    def features(*args: Any, **kwargs: Any) -> list[Tensor]:
        parts = encode_visuals(*args, **kwargs)
        if watched.is_here and fault.kind == "feature":
            parts[0] = spoil(parts[0], fault.value)
        return parts

    def frames(*args: Any, **kwargs: Any) -> Tensor:
        pixels = normalise_frames(*args, **kwargs)
        spoils = watched.is_here and fault.kind == "frame"
        return spoil(pixels, fault.value) if spoils else pixels

    patch(trainers, "supervised_loss", loss)
    patch(trainers, "encode_visuals", features)
    patch(fastvlm, "normalise_frames", frames)
