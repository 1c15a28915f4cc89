"""When is a step of training not taken?

a batch, its loss, the gradients of a step  ->  nothing, or an error before any weight has changed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer

from flipbook.errors import TrainingError
from flipbook.train.batches import sound


class SoundSteps(Trainer):
    """A Trainer that stops before the optimizer where data or numbers are not sound."""

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> Any:
        """Return the batches of a step and how many tokens are learned in them.

        Raises:
            MediaError, RecordError: a sample of one of them could not be made.
        """
        return super().get_batch_samples(map(sound, epoch_iterator), num_batches, device)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        prepared: dict[str, Any] = super()._prepare_inputs(sound(inputs))
        return prepared

    def refuse_loss(self, loss: Tensor, record_ids: Sequence[str]) -> None:
        """Refuse a loss that is not finite.

        Raises:
            TrainingError: it is not.
        """
        if not torch.isfinite(loss):
            raise TrainingError(_not_finite("loss", self.state.global_step, record_ids))

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        # In fp16 an infinite gradient is expected now and then: the loss scaler skips that step.
        if not self.args.fp16 and not torch.isfinite(torch.as_tensor(norm)):
            raise TrainingError(_not_finite("gradient", self.state.global_step, []))
        return norm


def _not_finite(what: str, step: int, record_ids: Sequence[str]) -> str:
    where = f" Records of the batch: {', '.join(record_ids)}." if record_ids else ""
    return (
        f"The {what} of step {step + 1} is not finite (NaN or infinite).{where} The weights were "
        "not changed by it. Lower --learning_rate, train with --bf16 instead of --fp16, or look "
        "at these records."
    )
