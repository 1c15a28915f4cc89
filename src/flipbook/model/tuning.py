"""What of a model learns, and how fast?

    parts, LoRA settings -> model with exactly those weights trainable
    model, learning rates -> parameter groups for the optimizer

What trains is decided by these arguments alone, whatever a checkpoint's configuration says.
To add a part: one line in `PARTS`, one prefix of its weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from flipbook.errors import ArgumentError, TrainingError, did_you_mean
from flipbook.video.ranges import Range

PARTS = {
    "vision_tower": "vision_tower.",
    "projector": "multi_modal_projector.",
    "language_model": "",  # whatever is neither of the others: layers, embeddings, head
}

LORA_DROPOUT = Range(most=1, below_most=True)

# Attention and feed-forward projections of the language model. "all-linear" would also wrap twelve
# layers of the tower and both of the projector.
LORA_TARGETS = (
    r".*language_model\.layers\.\d+\."
    r"(self_attn\.(q_proj|k_proj|v_proj|o_proj)|mlp\.(gate_proj|up_proj|down_proj))"
)
MODULE_OF_PART = {"vision_tower": "vision_tower", "projector": "multi_modal_projector"}


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adapters on the language model's linear layers.

    Attributes:
        rank: of the two factors; at least 1.
        alpha: the update is scaled by `alpha / rank`.
        dropout: on the adapter's input, 0 to 1.

    Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", section 4.
    """

    rank: int
    alpha: float
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ArgumentError(f"--lora_r must be at least 1 to use LoRA, got {self.rank}")
        LORA_DROPOUT.check("--lora_dropout", self.dropout)


def part_of(parameter_name: str) -> str:
    """Return the part of `PARTS` that a weight belongs to, by its name."""
    for part, prefix in PARTS.items():
        if prefix and prefix in parameter_name:
            return part
    return "language_model"


def check_parts(parts: Iterable[str]) -> tuple[str, ...]:
    """Return the parts, each once, in the order of `PARTS`.

    Raises:
        ArgumentError: one is unknown, or none is named.
    """
    named = tuple(parts)
    for part in named:
        if part not in PARTS:
            known = ", ".join(PARTS)
            hint = did_you_mean(part, PARTS)
            raise ArgumentError(f"--train_parts: unknown part {part!r}.{hint} Known: {known}.")
    if not named:
        raise ArgumentError("--train_parts names nothing to train. Name at least one part.")
    return tuple(part for part in PARTS if part in named)


def choose_trainable(
    model: nn.Module, train_parts: Iterable[str], *, lora: LoraSettings | None = None
) -> nn.Module:
    """Return the model with exactly the named parts trainable, in float32, and all else frozen.

    With `lora`, the language model learns through adapters and the other named parts in full;
    they are kept in the adapter's checkpoint. The model is changed in place.

    Raises:
        ArgumentError: a part is unknown, or LoRA is asked for without the language model.
        TrainingError: nothing would train.
    """
    parts = check_parts(train_parts)
    if lora is not None:
        if "language_model" not in parts:
            raise ArgumentError(
                "--lora_r adapts the language model, which --train_parts does not name. "
                "Add language_model, or set --lora_r 0."
            )
        model = _with_lora(model, parts, lora)
    else:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(part_of(name) in parts)
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.data = parameter.data.float()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise TrainingError("No weight would train. Check --train_parts against the model.")
    return model


def _with_lora(model: nn.Module, parts: tuple[str, ...], lora: LoraSettings) -> nn.Module:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # peft takes fractions too
        lora_dropout=lora.dropout,
        target_modules=LORA_TARGETS,
        modules_to_save=[MODULE_OF_PART[part] for part in parts if part in MODULE_OF_PART],
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def cast_frozen(model: nn.Module, dtype: torch.dtype) -> None:
    """Give every frozen floating-point weight and buffer of the model `dtype`, in place.

    Quantised weights (integers) are left alone, and so are BatchNorm's counters.
    """
    frozen = [p for p in model.parameters() if not p.requires_grad and p.is_floating_point()]
    for parameter in frozen:
        parameter.data = parameter.data.to(dtype)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(
            p.requires_grad for p in module.parameters()
        ):
            for name, buffer in module.named_buffers(recurse=False):
                if buffer.is_floating_point():
                    module.register_buffer(name, buffer.to(dtype))


def set_train_mode(model: nn.Module, *, train_batch_norm: bool = False) -> None:
    """Put the model in training mode, except what must not move."""
    model.train()
    keep_at_rest(modules_at_rest(model, train_batch_norm=train_batch_norm))


def modules_at_rest(model: nn.Module, *, train_batch_norm: bool = False) -> list[nn.Module]:
    """Return what stays in evaluation mode while the rest of a model trains.

    `model.train()` alone makes even a frozen tower use, and drift, its batch statistics. A tower
    of which no weight trains stays in evaluation mode; the BatchNorm layers of a trained tower stay
    so too, unless `train_batch_norm`.
    """
    tower = [module for name, module in model.named_modules() if "vision_tower" in name]
    if not any(p.requires_grad for module in tower for p in module.parameters()):
        return tower
    norms: list[nn.Module] = [
        module for module in tower if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    return [] if train_batch_norm else norms


def keep_at_rest(modules: Iterable[nn.Module]) -> None:
    """Put modules, not those inside them, in evaluation mode."""
    for module in modules:
        module.training = False


def parameter_groups(
    model: nn.Module,
    *,
    learning_rate: float,
    part_learning_rates: Mapping[str, float | None],
    weight_decay: float,
    decay_names: Iterable[str],
) -> list[dict[str, Any]]:
    """Return optimizer groups: one per part and per whether its weights decay.

    Args:
        learning_rate: for parts that `part_learning_rates` gives no rate.
        decay_names: the names of the weights that decay (not biases, not norms).
    """
    decays = set(decay_names)
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((part_of(name), name in decays), []).append(parameter)
    result = []
    for (part, does_decay), parameters in groups.items():
        rate = part_learning_rates.get(part)
        result.append(
            {
                "params": parameters,
                "lr": learning_rate if rate is None else rate,
                "weight_decay": weight_decay if does_decay else 0.0,
                "part": part,
            }
        )
    return result


@dataclass(frozen=True)
class PartSize:
    """How many weights a part has, and how many of them train."""

    part: str
    num_weights: int
    num_trainable: int
    dtypes: tuple[str, ...]


def part_sizes(model: nn.Module) -> tuple[PartSize, ...]:
    """Return the sizes of all parts, for the table that is printed before the first step."""
    # Beside a module that trains in full, peft keeps the original one.
    named = [(n, p) for n, p in model.named_parameters() if ".original_module." not in n]
    sizes = []
    for part in PARTS:
        own = [p for name, p in named if part_of(name) == part]
        sizes.append(
            PartSize(
                part=part,
                num_weights=sum(p.numel() for p in own),
                num_trainable=sum(p.numel() for p in own if p.requires_grad),
                dtypes=tuple(sorted({str(p.dtype).removeprefix("torch.") for p in own})),
            )
        )
    return tuple(sizes)
