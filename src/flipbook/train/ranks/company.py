"""What does a process that trains tell those that train with it?

each phase of a step, with the records of its batches  ->  RUN/ranks/rank-R.json
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import Trainer

from flipbook.train.ranks.failing import beat, with_heartbeats


class InCompany(Trainer):
    """A Trainer that tells where it is, where there are several."""

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as the library does."""
        with with_heartbeats(self.args):
            output = super().train(*args, **kwargs)
        beat("finishing", step=self.state.global_step)
        return output

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> Any:
        """Return the batches of a step and how many tokens are learned in them."""
        beat("reading", step=self.state.global_step)
        return super().get_batch_samples(epoch_iterator, num_batches, device)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Return what the library measures."""
        beat("evaluating", step=self.state.global_step)
        found: dict[str, float] = super().evaluate(*args, **kwargs)
        return found

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        model: Any = self.model
        phase = "learning" if model.training else "evaluating"
        beat(phase, step=self.state.global_step, records=inputs.get("record_ids"))
        prepared: dict[str, Any] = super()._prepare_inputs(inputs)
        return prepared

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> Any:
        beat("saving", step=self.state.global_step)
        return super()._save_checkpoint(*args, **kwargs)
