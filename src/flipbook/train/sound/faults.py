"""What was wrong with a step, and with whose records?

batches of a step, their losses, the gradients  ->  a few numbers that all processes add up
the same, on the failing path only              ->  a message that names records and parts
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from flipbook.model.tuning import PARTS, part_of

MOST_NAMED = 12  # records of one batch in a message; the file of the refused step has all
STEP_FILE = "refused_step.json"


@dataclass(frozen=True)
class StepTotals:
    """What all processes found in a step.

    Attributes:
        num_bad_losses: batches whose loss is not finite.
        num_unlabelled: batches that are no filler and have no supervised token.
        num_targets: supervised tokens.
        num_bad_gradients: gradients that are not finite; of weights that all processes hold, each
            counts once for every process.
    """

    num_bad_losses: int
    num_unlabelled: int
    num_targets: int
    num_bad_gradients: int

    @property
    def is_sound(self) -> bool:
        """Whether the optimizer may have it."""
        return not (self.num_bad_losses or self.num_unlabelled or self.num_bad_gradients)


@dataclass
class StepNotes:
    """What one process has seen of the step it is in; nothing is read back from a GPU for it."""

    losses: list[Tensor] = field(default_factory=list)
    record_ids: list[tuple[str, ...]] = field(default_factory=list)
    num_targets: list[int] = field(default_factory=list)
    fillers: list[bool] = field(default_factory=list)

    def add(self, loss: Tensor, batch: Mapping[str, Any]) -> None:
        """Note a Batch and its loss."""
        self.losses.append(loss.detach())
        self.record_ids.append(tuple(batch["record_ids"]))
        self.num_targets.append(batch["num_targets"])
        self.fillers.append(batch["is_filler"])

    def totals(self, norms: Tensor, *, device: torch.device) -> Tensor:
        """Return float32 (4,), the fields of `StepTotals` of this process, where `norms` are."""
        losses = torch.stack(self.losses) if self.losses else torch.zeros(1, device=device)
        known = torch.tensor([sum(self._unlabelled()), sum(self.num_targets)], device=device)
        bad = (~norms.isfinite()).sum()
        together = ~torch.linalg.vector_norm(norms).isfinite()  # may be infinite for them all
        parts = ((~losses.isfinite()).sum(), *known, torch.maximum(bad, together.to(bad.dtype)))
        return torch.stack([part.to(device, torch.float32) for part in parts])

    def faults(self, rank: int) -> list[dict[str, Any]]:
        """Return each batch with its faults; all of them where only the gradient is at fault."""
        unlabelled = self._unlabelled()
        return [
            {
                "rank": rank,
                "batch": number + 1,
                "of_batches": len(self.losses),
                "loss": str(float(loss)),
                "is_bad": not bool(loss.isfinite()) or unlabelled[number],
                "records": list(self.record_ids[number]),
            }
            for number, loss in enumerate(self.losses)
        ]

    def _unlabelled(self) -> list[bool]:
        return [
            number == 0 and not filler
            for number, filler in zip(self.num_targets, self.fillers, strict=True)
        ]


def gradient_norms(model: nn.Module) -> tuple[list[str], Tensor]:
    """Return the names of the weights that have a gradient, and the norm of each, float32 (G,).

    Of a gradient that is divided between processes it is the norm of this one's share.
    """
    names, gradients = [], []
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            names.append(name)
            gradients.append(_own(parameter.grad))
    if not gradients:
        return names, torch.zeros(1)
    by_kind: dict[tuple[torch.device, torch.dtype], list[int]] = {}
    for number, gradient in enumerate(gradients):
        by_kind.setdefault((gradient.device, gradient.dtype), []).append(number)
    device = gradients[0].device
    norms: list[Any] = [None] * len(gradients)
    for numbers in by_kind.values():
        found = torch._foreach_norm([gradients[number] for number in numbers])
        for number, norm in zip(numbers, found, strict=True):
            norms[number] = norm.to(device, torch.float32)
    return names, torch.stack(norms)


def unsound_tensors(model: nn.Module) -> list[str]:
    """Return the names of weights and buffers of a model that are not finite in this process."""
    named = [
        (name, _own(tensor))
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if tensor.is_floating_point()
    ]
    named = [(name, tensor) for name, tensor in named if tensor.numel()]
    if not named:
        return []
    largest = [torch.linalg.vector_norm(t.detach(), float("inf")).float() for _, t in named]
    device = largest[0].device
    bad = ~torch.stack([size.to(device) for size in largest]).isfinite()
    return [name for (name, _), is_bad in zip(named, bad.tolist(), strict=True) if is_bad]


def _own(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def tell_step(
    totals: StepTotals, faults: Sequence[dict[str, Any]], gradients: Mapping[str, bool]
) -> str:
    """Return what is wrong with a step, in which records, and in which part of the model.

    Args:
        totals: of all processes.
        faults: see `StepNotes.faults`, of all processes.
        gradients: the name of each weight with a gradient, and whether that is finite.
    """
    wrong, todo = [], "Look at these records first; then lower --learning_rate, or train with"
    todo += " --bf16 true instead of --fp16 true."
    if totals.num_bad_losses:
        wrong.append(f"the loss is not finite (NaN or infinite) in {totals.num_bad_losses} of its")
        wrong[-1] += f" {len(faults)} batches"
    elif totals.num_bad_gradients:
        wrong.append("the gradient is not finite (NaN or infinite), though the loss is")
    if totals.num_unlabelled:
        wrong.append(f"{totals.num_unlabelled} of its {len(faults)} batches teach nothing: no")
        wrong[-1] += " token of them is supervised"
        if not totals.num_bad_losses and not totals.num_bad_gradients:
            todo = "Give these records an answer, or take them out of the data."
    told = f"{' and '.join(wrong)}. Records: {_tell_records(faults)}."
    if totals.num_bad_gradients:
        told += f" Gradients that are not finite: {tell_parts(gradients)}."
    return f"{told} {todo}"


def tell_parts(gradients: Mapping[str, bool]) -> str:
    """Return how many gradients of which part are not finite: "projector 1 of 4"."""
    all_of, bad_of = Counter[str](), Counter[str]()
    for name, is_finite in gradients.items():
        all_of[part_of(name)] += 1
        bad_of[part_of(name)] += not is_finite
    bad = [f"{part} {bad_of[part]} of {all_of[part]}" for part in PARTS if bad_of[part]]
    return ", ".join(bad) or "none alone, but their norm together is infinite"


def _tell_records(faults: Sequence[dict[str, Any]]) -> str:
    chosen = [fault for fault in faults if fault["is_bad"]] or list(faults)
    several = len({fault["rank"] for fault in faults}) > 1
    told = []
    for fault in chosen:
        where = f"batch {fault['batch']} of {fault['of_batches']}"
        names = fault["records"][:MOST_NAMED]
        more = len(fault["records"]) - len(names)
        told.append(
            (f"process {fault['rank']}, " if several else "")
            + f"{where}: {', '.join(names)}"
            + (f" and {more} more (see {STEP_FILE})" if more else "")
        )
    return "; ".join(told)
