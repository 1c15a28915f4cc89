"""How wrong are the words that a language model's head would say next?

    hidden states (N, D), head (V, D), targets (N,) -> sum of the N token losses

The scores of all V words at all N places would be the largest tensor of a training step. Only some
rows of them exist at a time: each turns into its loss, then into its gradient, then is dropped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# How many scores there may be at a time: in float32, 64 MiB on a CPU and 256 MiB on a GPU.
LOGITS_PER_CALL = {"cpu": 2**24, "cuda": 2**26}


def summed_loss(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, label_smoothing: float = 0.0
) -> Tensor:
    """Return the sum of the cross-entropies of `hidden @ weight.T`, a scalar of float32 or more.

    The gradients are computed together with the loss, so it can be sent backward once.

    Args:
        hidden: (N, D), N of 1 or more.
        weight: (V, D).
        targets: int64 (N,), from 0 to V - 1.
        label_smoothing: share of the target's weight that is spread over all V words.
    """
    device_type = hidden.device.type
    dtype = weight.dtype
    if torch.is_autocast_enabled(device_type):
        dtype = torch.get_autocast_dtype(device_type)
    summed: Tensor = _SummedLoss.apply(hidden.to(dtype), weight.to(dtype), targets, label_smoothing)
    return summed


class _SummedLoss(torch.autograd.Function):
    """The loss, and at once its gradients: the scores would have to be made twice otherwise.

    loss of a row              = log sum exp(scores) - (1 - s) score of target - s mean(scores)
    its gradient in the scores = softmax(scores)     - (1 - s) at the target   - s / V
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, smoothing: float
    ) -> Tensor:
        """Return the summed loss; keep the gradients that are needed."""
        wide = torch.promote_types(hidden.dtype, torch.float32)
        hidden_learns, weight_learns, *_ = ctx.needs_input_grad
        for_hidden = torch.empty_like(hidden) if hidden_learns else None
        for_weight = torch.zeros_like(weight, dtype=wide) if weight_learns else None
        limit = LOGITS_PER_CALL.get(hidden.device.type, LOGITS_PER_CALL["cuda"])
        num_rows = max(1, limit // len(weight))
        total = torch.zeros((), dtype=wide, device=hidden.device)
        for start in range(0, len(hidden), num_rows):
            rows = slice(start, start + num_rows)
            scores = nn.functional.linear(hidden[rows], weight).to(wide)  # (n, V)
            total += _loss_to_gradient_(scores, targets[rows], smoothing)
            gradient = scores.to(hidden.dtype)
            if for_hidden is not None:
                torch.mm(gradient, weight, out=for_hidden[rows])
            if for_weight is not None:
                _add_product_(for_weight, gradient.T, hidden[rows])
            del scores, gradient  # before the next ones are made
        ctx.gradients = (for_hidden, None if for_weight is None else for_weight.to(weight.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients in `hidden` and `weight`, scaled in place."""
        scaled = tuple(g if g is None else g.mul_(scale.to(g.dtype)) for g in ctx.gradients)
        del ctx.gradients
        return (*scaled, None, None)


def _loss_to_gradient_(scores: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Return the summed loss of scores (n, V), and turn them into its gradient in place."""
    places = targets[:, None]
    losses = (smoothing - 1) * scores.gather(1, places)  # (n, 1)
    if smoothing:
        losses -= smoothing * scores.mean(dim=-1, keepdim=True)
    peaks = scores.amax(dim=-1, keepdim=True)
    sums = scores.sub_(peaks).exp_().sum(dim=-1, keepdim=True)
    losses += sums.log() + peaks
    scores.div_(sums)
    if smoothing:
        scores.sub_(smoothing / scores.shape[1])
    scores.scatter_add_(1, places, scores.new_full(places.shape, smoothing - 1))
    return losses.sum()


def _add_product_(total: Tensor, left: Tensor, right: Tensor) -> None:
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)
