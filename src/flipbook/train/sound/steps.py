"""When is a step of training not taken, and a model not saved?

a batch, its loss, the gradients of a step  ->  nothing, or an error before any weight has changed
weights about to be saved                   ->  nothing, or an error before any file is written

All processes decide alike: before each optimizer step they add up a few numbers, and only where
these tell of a fault do they gather whose records it was.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType, gather_object
from torch import Tensor, nn
from transformers import Trainer

from flipbook.errors import TrainingError, first_of
from flipbook.train.batches import sound
from flipbook.train.sound.faults import (
    STEP_FILE,
    StepNotes,
    StepTotals,
    gradient_norms,
    tell_step,
    unsound_tensors,
)

# The scaler of fp16 starts at 2^16 and halves after each step that it skips: it is below 1 by then.
MOST_SKIPPED = 20
_log = logging.getLogger(__name__)


class SoundSteps(Trainer):
    """A Trainer that stops before the optimizer where data or numbers are not sound.

    Raises:
        TrainingError: a loss, a gradient or a weight is not finite, or nothing would be learned.
    """

    _notes: StepNotes
    _is_idle = False  # nothing but fillers in this step
    _num_skipped = 0  # steps in a row, by the scaler of fp16
    _is_decided = False

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> Any:
        """Return the batches of a step and how many tokens are learned in them.

        Raises:
            MediaError, RecordError: a sample of one of them could not be made.
        """
        self.begin_step()
        return super().get_batch_samples(map(sound, epoch_iterator), num_batches, device)

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        prepared: dict[str, Any] = super()._prepare_inputs(sound(inputs))
        return prepared

    @property
    def _held(self) -> nn.Module:
        model: Any = self.model
        held: nn.Module = model
        return held

    def begin_step(self) -> None:
        """Forget what was noted of the last step."""
        self._notes, self._is_decided = StepNotes(), False

    def note_batch(self, loss: Tensor, inputs: dict[str, Any]) -> None:
        """Note a batch of this step.

        Raises:
            TrainingError: DeepSpeed takes the step inside the backward pass, and this loss is not
                sound in some process.
        """
        self._notes.add(loss, inputs)
        if self.accelerator.distributed_type == DistributedType.DEEPSPEED:
            self._decide([], torch.zeros(1, device=self.args.device))

    def refuse_step(self, model: nn.Module) -> None:
        """Refuse the step whose gradients a model holds, in all processes alike.

        Raises:
            TrainingError: a loss or a gradient is not finite, or a batch has nothing to learn.
        """
        names, norms = gradient_norms(model)
        self._decide(names, norms)
        self._is_decided = True

    def _decide(self, names: list[str], norms: Tensor) -> None:
        own = self._notes.totals(norms.to(self.args.device), device=self.args.device)
        summed: Any = self.accelerator.reduce(own, reduction="sum")
        totals = StepTotals(*(int(number) for number in summed.tolist()))
        self._is_idle = totals.num_targets == 0
        only_gradient = not totals.num_bad_losses and not totals.num_unlabelled
        if totals.is_sound:
            self._num_skipped = 0
        elif self.accelerator.scaler is None or not only_gradient or self._counts_too_many():
            raise TrainingError(self._tell_step(totals, names, norms))

    def _counts_too_many(self) -> bool:
        """Count a step that the scaler of fp16 is about to skip; return whether it is one of too
        many.
        """
        self._num_skipped += 1
        if self.is_world_process_zero():
            names = [name for ids in self._notes.record_ids for name in ids]
            _log.warning(
                "Step %d is skipped, and nothing learned of its records (%s ...): a gradient is "
                "too large for --fp16 at the scale it has. Some of these are normal.",
                self.state.global_step + 1,
                ", ".join(names[:3]),
            )
        return self._num_skipped > MOST_SKIPPED

    def _tell_step(self, totals: StepTotals, names: list[str], norms: Tensor) -> str:
        own = self._notes.faults(self.args.process_index)
        faults: list[dict[str, Any]] = gather_object(own)
        known = list(zip(names, norms.isfinite().tolist(), strict=False))
        gradients: dict[str, bool] = {}
        for name, is_finite in gather_object(known):
            gradients[name] = is_finite and gradients.get(name, True)
        step = self.state.global_step + 1
        self._write_step({"step": step, "batches": faults, "gradients_are_finite": gradients})
        told = f"Step {step} is not taken: {tell_step(totals, faults, gradients)}"
        if self._num_skipped > MOST_SKIPPED:
            told += f" It is the {self._num_skipped}th in a row that --fp16 cannot hold."
        bad_weights = unsound_tensors(self._held)
        if bad_weights:
            told += f" Weights that are not finite already: {_tell_names(bad_weights)}."
        return f"{told} {self._tell_left()}"

    def _write_step(self, facts: dict[str, Any]) -> None:
        """Write all that is known of a refused step; a disk that is full hides no refusal."""
        if not self.is_world_process_zero():
            return
        try:
            path = Path(str(self.args.output_dir)) / STEP_FILE
            path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            _log.warning("%s could not be written: %s", STEP_FILE, error.strerror)

    def _tell_left(self) -> str:
        """Return what a refused step leaves of itself."""
        if self.accelerator.distributed_type == DistributedType.DEEPSPEED:
            return "Nothing of it was saved."
        return "No weight was changed by it and nothing of it was saved."

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        self._refuse_once(model)  # clipping by a norm that is NaN makes every gradient NaN
        return super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        self._refuse_once(model)
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        if self.accelerator.distributed_type == DistributedType.DEEPSPEED:
            self._refuse_taken_step(norm)
        elif self._is_idle:
            # AdamW would move weights by its momentum and decay; without a gradient it does not.
            model.zero_grad(set_to_none=True)
        return norm

    def _refuse_once(self, model: nn.Module) -> None:
        is_taken = self.accelerator.distributed_type == DistributedType.DEEPSPEED
        if not self._is_decided and not is_taken:
            self.refuse_step(model)

    def _refuse_taken_step(self, norm: Any) -> None:
        """Refuse what DeepSpeed has done already: the norm is that of all processes together."""
        known = torch.as_tensor(0.0 if norm is None else norm)
        if not self.args.fp16 and not known.isfinite():
            raise TrainingError(self._tell_step(StepTotals(0, 0, 1, 1), [], torch.zeros(0)))

    def refuse_weights(self) -> None:
        """Refuse weights that are not finite, in all processes alike, before they are saved.

        Raises:
            TrainingError: one is not.
        """
        bad = unsound_tensors(self._held)
        number = torch.tensor([len(bad)], device=self.args.device)
        if int(self.accelerator.reduce(number, reduction="sum")) == 0:
            return
        raise TrainingError(
            f"The model is not saved at step {self.state.global_step}: weights are not finite (NaN "
            f"or infinite): {_tell_names(bad)}. Lower --learning_rate, or train with --bf16 true "
            "instead of --fp16 true."
        )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self.refuse_weights()
        super()._save_checkpoint(model, trial)

    def refuse_validation(self, loss: float, noted: StepNotes) -> None:
        """Refuse a validation loss, which all processes know, that is not finite.

        Raises:
            TrainingError: it is not.
        """
        if torch.isfinite(torch.tensor(loss)):
            return
        faults = [fault for fault in noted.faults(self.args.process_index) if fault["is_bad"]]
        found: list[dict[str, Any]] = gather_object(faults)
        names = [name for fault in found for name in fault["records"]]
        raise TrainingError(
            f"The validation loss after step {self.state.global_step} is not finite (NaN or "
            f"infinite). Records: {_tell_names(names)}. Look at these records first; then lower "
            "--learning_rate."
        )


def _tell_names(names: list[str]) -> str:
    return first_of(names) or "those of another process"
