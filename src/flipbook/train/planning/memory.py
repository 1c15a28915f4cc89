"""Will a step fit into memory, and must activations be computed twice for it?

    model, longest batch -> MemoryPlan: what a step needs beside the weights, and what is free

What a forward pass keeps for the backward pass is measured on two short rows of tokens. It grows in
proportion to their number, since attention keeps no matrix of all pairs; what does not grow are
copies of weights in the precision of the run.

This decides how a run begins, with its model in its place. What a step takes altogether, before any
weight is read, `forecast.py` predicts: from the same measure of what is kept, taken on a model
without numbers, and from coefficients that were fitted to whole steps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch
from torch import Tensor, nn

from flipbook.model.attention import IMPLEMENTATIONS, row_arguments
from flipbook.model.fastvlm import plain_model

PROBE_TOKENS = (64, 128)
USABLE_SHARE = 0.85  # of what is free: allocators and kernels need the rest
GRADIENT_BYTES = 4  # of a weight that trains, in float32
MOMENT_BYTES = 8  # two moments of AdamW in float32
BYTES_PER_TRAINED_WEIGHT = GRADIENT_BYTES + MOMENT_BYTES


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
    start_bytes, token_bytes = kept_of_tokens(model, autocast_dtype=autocast_dtype)
    device = next(model.parameters()).device
    return MemoryPlan(
        optimizer_bytes=trained * BYTES_PER_TRAINED_WEIGHT,
        activation_bytes=int(start_bytes + token_bytes * longest_tokens),
        available_bytes=available_bytes(device),
        longest_tokens=longest_tokens,
    )


def kept_of_tokens(
    model: nn.Module, *, autocast_dtype: torch.dtype | None = None
) -> tuple[float, float]:
    """Return the bytes that a language model keeps of any row, and of each token in it."""
    first, second = (
        kept_bytes(model, row_of_tokens(model, number), autocast_dtype=autocast_dtype)
        for number in PROBE_TOKENS
    )
    per_token = (second - first) / (PROBE_TOKENS[1] - PROBE_TOKENS[0])
    return first - per_token * PROBE_TOKENS[0], per_token


def available_bytes(device: torch.device) -> int:
    """Return how much memory of a device one process may take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    num_sharing = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return int(psutil.virtual_memory().available) // num_sharing


def kept_bytes(
    model: nn.Module, compute: Callable[[], object], *, autocast_dtype: torch.dtype | None = None
) -> int:
    """Return how many bytes a computation keeps for the backward pass, without the model's weights.

    Tensors may be without numbers (torch's fake ones): only their sizes count. The random numbers
    of the run stay as they are.

    Args:
        compute: returns what the backward pass would begin with.
    """
    weight = next(parameter for parameter in model.parameters() if not parameter.is_meta)
    weights = {_storage_number(parameter) for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        number = _storage_number(tensor)
        if number not in weights:
            kept[number] = tensor
        return tensor

    with (
        torch.random.fork_rng([weight.device] if weight.is_cuda else []),  # dropout draws from it
        torch.enable_grad(),
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast(
            weight.device.type, dtype=autocast_dtype, enabled=autocast_dtype is not None
        ),
    ):
        result = compute()
    total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del result
    return total


def row_of_tokens(model: nn.Module, num_tokens: int) -> Callable[[], Tensor]:
    """Return what computes a row of so many tokens in the language model's layers."""
    language_model = plain_model(model).model.language_model
    weight = language_model.embed_tokens.weight
    # Told of the row as in training, the attention makes no mask of all pairs.
    knows_rows = language_model.config._attn_implementation == IMPLEMENTATIONS["sdpa"]
    told = row_arguments(model, [(num_tokens,)], device=weight.device) if knows_rows else {}

    def compute() -> Tensor:
        embeddings = torch.zeros(
            1, num_tokens, weight.shape[1], device=weight.device, dtype=weight.dtype
        ).requires_grad_()
        output = language_model(inputs_embeds=embeddings, use_cache=False, **told)
        hidden: Tensor = output.last_hidden_state
        return hidden

    return compute


def _storage_number(tensor: Tensor) -> int:
    """Return what is equal for views of the same memory, also where there is none behind it."""
    number: int = tensor.untyped_storage()._cdata
    return number


def _gb(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB"
