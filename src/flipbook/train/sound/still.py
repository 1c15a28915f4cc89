"""Did what is frozen stay as it was, and did what trains learn?

model before the first step, model after the last one  ->  nothing, or an error that names tensors

Frozen are the weights that do not train and all buffers that are saved, except the statistics of
BatchNorm layers that train. They are compared by hashes of their bytes; no copy is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import xxhash
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from flipbook.errors import TrainingError, first_of
from flipbook.model.tuning import PARTS, part_of

CHUNK_BYTES = 1 << 26  # that leave a GPU at a time
_log = logging.getLogger(__name__)
OF_QUANTISED = ("absmax", "SCB")  # scales that bitsandbytes keeps beside a weight of integers


class StillCheck(TrainerCallback):
    """Compares a model with itself, before and after a training that it is added to.

    With FSDP each process compares its own shares. DeepSpeed moves weights to where they cannot be
    looked at, so nothing is compared there.

    Args:
        accelerator: adds up what the processes find, so that all of them refuse, or none.
        at_rest: see `flipbook.model.tuning.modules_at_rest`.
        sees_frames: whether any record has a video or an image; without one, the weights that see
            have nothing to learn from.
    """

    def __init__(
        self, accelerator: Accelerator, at_rest: Iterable[nn.Module], *, sees_frames: bool
    ) -> None:
        self._accelerator = accelerator
        self._at_rest = {id(module) for module in at_rest}
        self._sees_frames = sees_frames
        self._frozen: dict[str, str] = {}
        self._trained: dict[str, str] = {}
        self._learning: set[str] = set()  # parts for which a step with a rate was begun
        self._learned: set[str] = set()  # parts that have changed

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the hashes before the first step."""
        self._learning, self._learned = set(), set()
        if self._accelerator.distributed_type != DistributedType.DEEPSPEED:
            self._frozen = digests(frozen_tensors(kwargs["model"], self._at_rest))
            self._trained = digests(trained_tensors(kwargs["model"]))

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note which parts may learn in this step; the first one of a warm-up has a rate of 0."""
        groups = kwargs["optimizer"].param_groups
        self._learning |= {group["part"] for group in groups if group["lr"] > 0}

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note which parts have changed; afterwards the library may load an earlier checkpoint."""
        if self._learning - self._learned and self._trained:
            changed = _changed(self._trained, trained_tensors(kwargs["model"]))
            self._learned |= {part_of(name) for name in changed}

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Compare with the hashes after the last step.

        Raises:
            TrainingError: a frozen tensor has changed, or none of a part that trains has.
        """
        if self._accelerator.distributed_type == DistributedType.DEEPSPEED:
            return
        moved = _changed(self._frozen, frozen_tensors(kwargs["model"], self._at_rest))
        own = torch.tensor(
            [len(moved), *(part in self._learned for part in PARTS)], device=args.device
        )
        summed: Any = self._accelerator.reduce(own, reduction="sum")
        num_moved, *learned_in = summed.tolist()
        if num_moved:
            raise TrainingError(_tell_moved(moved))
        idle = [
            part
            for part, number in zip(PARTS, learned_in, strict=True)
            if number == 0 and part in self._learning and self._can_learn(part)
        ]
        if idle:
            raise TrainingError(_tell_idle(idle, state))
        if self._learning and state.best_model_checkpoint is not None:
            self._tell_start_model(kwargs["model"], state.best_model_checkpoint)

    def _tell_start_model(self, model: nn.Module, best: str) -> None:
        if not _changed(self._trained, trained_tensors(model)):
            _log.warning(
                "The best evaluation, %s, is of a model that had learned nothing yet, and that "
                "model is kept: it is the start model.",
                best,
            )

    def _can_learn(self, part: str) -> bool:
        return self._sees_frames or part == "language_model"


def frozen_tensors(model: nn.Module, at_rest: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights that do not train, and the saved buffers that are not to move.

    Args:
        at_rest: ids of the modules whose buffers do not move though their weights may train.
    """
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            yield name, parameter
            for kind in OF_QUANTISED:
                scale = getattr(getattr(parameter, "quant_state", parameter), kind, None)
                if isinstance(scale, Tensor):
                    yield f"{name}.{kind}", scale
    for path, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and id(module) not in at_rest:
            continue
        for name, buffer in module.named_buffers(path, recurse=False):
            if name.rpartition(".")[2] not in module._non_persistent_buffers_set:
                yield name, buffer


def trained_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights that train."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name, parameter


def digests(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, str]:
    """Return a hash for each named tensor."""
    return {name: digest(tensor) for name, tensor in tensors}


@torch.no_grad()
def digest(tensor: Tensor) -> str:
    """Return a hash of kind, shape and bytes of a tensor, or of this process' share of it."""
    own = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    hashed = xxhash.xxh3_128(f"{own.dtype} {tuple(own.shape)}".encode())
    values = own.detach().contiguous().reshape(-1).view(torch.uint8)
    for chunk in torch.split(values, CHUNK_BYTES):
        data: Any = chunk.cpu().numpy()
        hashed.update(data)
    return str(hashed.hexdigest())


def _changed(before: dict[str, str], tensors: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Return the names whose tensor is another one, or new, or gone."""
    after = digests(tensors)
    return [name for name in before | after if before.get(name) != after.get(name)]


def _tell_idle(parts: list[str], state: Any) -> str:
    return (
        f"Nothing of {' and '.join(parts)} has changed after {state.global_step} steps, though it "
        f"was to train. No model is written; checkpoints are kept. Raise --learning_rate, or "
        "leave out of --train_parts what cannot learn."
    )


def _tell_moved(names: list[str]) -> str:
    named = first_of(names) or "those of another process"
    return (
        f"Frozen tensors have changed in training: {named}. They must stay as they were, "
        "byte for byte, so no model is written; checkpoints are kept but hold this change. Please "
        "report it with the run's config.yaml."
    )
