"""Will a step fit into memory, and must activations be computed twice for it?

    model, longest batch -> MemoryPlan: what a step needs beside the weights, and what is free

What a forward pass keeps for the backward pass is measured on two short rows of tokens. It grows in
proportion to their number, since attention keeps no matrix of all pairs; what does not grow are
copies of weights in the precision of the run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor, nn

PROBE_TOKENS = (64, 128)
USABLE_SHARE = 0.85  # of what is free: allocators and kernels need the rest
BYTES_PER_TRAINED_WEIGHT = 12  # float32 gradient and two float32 moments of AdamW


@dataclass(frozen=True)
class MemoryPlan:
    """What one process needs for a step, in bytes.

    Attributes:
        optimizer_bytes: gradients and moments of the weights that train.
        activation_bytes: kept between the passes for the longest batch.
        available_bytes: free before the first step, the weights being in their place.
        longest_tokens: of that batch.
    """

    optimizer_bytes: int
    activation_bytes: int
    available_bytes: int
    longest_tokens: int

    @property
    def is_tight(self) -> bool:
        """Whether the activations do not fit beside the rest."""
        needed = self.optimizer_bytes + self.activation_bytes
        return needed > self.available_bytes * USABLE_SHARE

    def __str__(self) -> str:
        kept = "computed twice (--activation_checkpointing)" if self.is_tight else "kept"
        return (
            f"Memory of a step: {_gb(self.optimizer_bytes)} for gradients and AdamW, "
            f"{_gb(self.activation_bytes)} for the language model's activations of the longest "
            f"batch ({self.longest_tokens:,} tokens), {_gb(self.available_bytes)} free: they are "
            f"{kept}."
        )


def plan_memory(
    model: nn.Module, *, longest_tokens: int, autocast_dtype: torch.dtype | None = None
) -> MemoryPlan:
    """Return the plan for a model that is where it will train, by a short pass of its layers.

    Args:
        longest_tokens: of a batch on one process.
        autocast_dtype: in which the run multiplies; None for the weights' own.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    first, second = (_kept_bytes(model, number, autocast_dtype) for number in PROBE_TOKENS)
    per_token = (second - first) / (PROBE_TOKENS[1] - PROBE_TOKENS[0])
    device = next(model.parameters()).device
    return MemoryPlan(
        optimizer_bytes=trained * BYTES_PER_TRAINED_WEIGHT,
        activation_bytes=int(first + per_token * (longest_tokens - PROBE_TOKENS[0])),
        available_bytes=available_bytes(device),
        longest_tokens=longest_tokens,
    )


def available_bytes(device: torch.device) -> int:
    """Return how much memory of a device one process may take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    num_sharing = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return int(psutil.virtual_memory().available) // num_sharing


def _kept_bytes(model: nn.Module, num_tokens: int, autocast_dtype: torch.dtype | None) -> int:
    """Return what the language model's layers keep of a short row, weights left out.

    The random numbers of the run stay as they are.
    """
    inner: Any = model
    inner = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    language_model = inner.model.language_model
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    weight = language_model.embed_tokens.weight
    embeddings = torch.zeros(
        1, num_tokens, weight.shape[1], device=weight.device, dtype=weight.dtype
    ).requires_grad_()
    with (
        torch.random.fork_rng([weight.device] if weight.is_cuda else []),  # dropout draws from it
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast(
            weight.device.type, dtype=autocast_dtype, enabled=autocast_dtype is not None
        ),
    ):
        output = language_model(inputs_embeds=embeddings, use_cache=False).last_hidden_state
    total = sum(kept.values())
    del output
    return total


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB"
