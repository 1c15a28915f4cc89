"""How wrong is a model about a batch?

    model, Batch, tower features -> loss over the supervised tokens

Only positions whose next token is supervised meet the vocabulary-wide head. They do so inside the
model's own forward pass, where whatever distributes the model has the head's weights ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from flipbook.data.labels.conversation import IGNORE_INDEX
from flipbook.model.attention import row_arguments
from flipbook.model.fastvlm import (
    as_encoder_outputs,
    normalise_frames,
    plain_model,
    project,
    tower_dtype,
)
from flipbook.model.head import summed_loss


@dataclass(frozen=True)
class SupervisedLoss:
    """What a forward pass over a Batch returns.

    Attributes:
        loss: scalar float32, the sum of the token losses over `num_items`.
        num_targets: how many tokens of the batch are supervised.
    """

    loss: Tensor
    num_targets: int


def supervised_positions(labels: Tensor) -> Tensor:
    """Return bool (B, L): true where the next token is supervised.

    labels      -100 -100   A  <end>        position 1 predicts A, position 2 predicts <end>
    positions      0    1   1      0
    """
    keep = torch.zeros_like(labels, dtype=torch.bool)
    keep[:, :-1] = labels[:, 1:] != IGNORE_INDEX
    return keep  # (B, L)


def supervised_loss(
    model: nn.Module,
    batch: Mapping[str, Any],
    *,
    features: Tensor | None = None,
    image_mean: Sequence[float] = (0.0, 0.0, 0.0),
    image_std: Sequence[float] = (1.0, 1.0, 1.0),
    num_items: Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> SupervisedLoss:
    """Return the loss of a Batch, computed only where there is a label.

    Args:
        model: a FastVLM, or a wrapper around one (PEFT, DDP, FSDP).
        batch: see `flipbook.data.batch.Batch`.
        features: (F, P, C), or (1, N, C) where sides differ, the tower's output for all visuals of
            the batch in their order. Without it the batch's frames, which must then be of one side,
            go through the tower inside the forward pass.
        num_items: what the summed token losses are divided by; the batch's own number of
            supervised tokens when none.
        label_smoothing: share of the target's weight that all other tokens get.

    Raises:
        ValueError: no token of the batch is supervised: there is nothing to learn from. Or the
            batch holds stored features, or frames of several sides, and is to be run without
            `features`.
    """
    labels: Tensor = batch["labels"]
    keep = supervised_positions(labels)
    targets = labels[:, 1:][keep[:, :-1]]  # (N,)
    if targets.numel() == 0:
        raise ValueError("no token of the batch is supervised")
    seen = _see(model, batch, features, image_mean=image_mean, image_std=image_std)
    head = plain_model(model).lm_head

    def answer(hidden: Tensor) -> Tensor:
        return summed_loss(hidden, head.weight, targets, label_smoothing=label_smoothing)

    with _head_answers(head, answer):
        output = model(
            input_ids=batch["input_ids"],
            position_ids=batch["position_ids"],
            logits_to_keep=keep,
            use_cache=False,
            **row_arguments(model, batch["segments"], device=labels.device),
            **seen,
        )
    divisor = targets.numel() if num_items is None else num_items
    return SupervisedLoss(output.logits / divisor, targets.numel())


@contextmanager
def _head_answers(head: nn.Module, answer: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let `head(hidden)` return `answer(hidden)` for a while.

    Raises:
        ValueError: the head is more than one matrix, which is all that an answer may be made of.
    """
    if not isinstance(head, nn.Linear) or head.bias is not None:
        raise ValueError(f"the head must be a linear layer without bias, got {head}")
    own = vars(head).get("forward")  # where a library has put one there already
    head.forward = torch.compiler.disable(answer)
    try:
        yield
    finally:
        if own is None:
            del head.forward
        else:
            head.forward = own


def _see(
    model: nn.Module,
    batch: Mapping[str, Any],
    features: Tensor | None,
    *,
    image_mean: Sequence[float],
    image_std: Sequence[float],
) -> dict[str, Any]:
    """Return what the batch shows as the argument through which the model takes it."""
    if features is not None:
        return {"mm_encoder_outputs": as_encoder_outputs(project(model, features))}
    if batch.get("features") is not None:
        raise ValueError("the batch holds stored features: hand them in as `features`")
    frames = batch.get("frames")
    if frames is None:
        return {}
    if len(frames) > 1:
        raise ValueError("frames of several sides cannot go through the tower together")
    pixel_values = normalise_frames(
        torch.cat(frames) if len(frames) > 1 else frames[0],
        image_mean=image_mean,
        image_std=image_std,
        dtype=tower_dtype(model),
    )
    return {"pixel_values": pixel_values.contiguous(memory_format=torch.channels_last)}
