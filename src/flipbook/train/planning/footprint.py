"""What does a step of this model hold, as far as that follows from its shape?

    configuration, arguments -> Footprint: bytes of weights and moments, and of what a token leaves

No weight is read, and none takes memory: a model of two layers, and of one, runs on tensors that
have a shape and nothing else, and the rest of the layers is as many times their difference.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import FastVlmConfig, FastVlmForConditionalGeneration

from flipbook.model.attention import IMPLEMENTATIONS, set_attention
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import plain_model, project, tower_is_at_rest
from flipbook.model.tuning import part_of, set_train_mode
from flipbook.train.arguments import Arguments
from flipbook.train.features import autocast_dtype
from flipbook.train.planning.memory import PROBE_TOKENS, kept_bytes, kept_of_tokens
from flipbook.train.start import lora_of, prepare_model

PROBE_SIDES_PX = (128, 256)
# Of a quantised weight, with the scale of each block of 64 (4 bit) or row (8 bit).
QUANTISED_BYTES = {"4bit": 0.5 + 4 / 64, "8bit": 1.0}


@dataclass(frozen=True)
class Footprint:
    """What of a step follows from the model alone. Every field is in bytes unless it says so.

    Attributes:
        weights: as they lie in memory, with buffers.
        num_trained: how many weights train; `num_trained_tower` of them in the vision tower.
        token: what the language model keeps of a token for the backward pass.
        layer_token: what one layer keeps of it.
        residual_token: what a layer that is computed twice keeps of it: its input.
        copies: kept whatever the number of tokens: weights in the precision of the run.
        visual_token: what the projector keeps of a visual token.
        px: what a tower that trains keeps of a pixel; 0 of one at rest.
        tower_width: channels of the tower's first layer, a number; `tower_itemsize` of its weights.
        hidden: of a token in the widest place, the feed-forward layer.
        head: the matrix of the head in float32; 0 where it does not train.
        vocabulary_rows: of the head, a number; `head_itemsize` of the scores before they are
            widened to float32.
    """

    weights: float
    num_trained: float
    num_trained_tower: float
    token: float
    layer_token: float
    residual_token: float
    copies: float
    visual_token: float
    px: float
    tower_width: float
    tower_itemsize: float
    hidden: float
    head: float
    vocabulary_rows: float
    head_itemsize: float


def footprint_of(config: FastVlmConfig, arguments: Arguments) -> Footprint:
    """Return the footprint of the model that a run with these arguments would train."""
    model = shape_model(_with_layers(config, 2), arguments)
    set_attention(model, IMPLEMENTATIONS["sdpa"])  # what it keeps is what the others keep
    text: Any = config.text_config
    language_model = plain_model(model).model.language_model
    with _without_numbers(model):
        two = dataclasses.asdict(_measured(model, arguments))
        language_model.layers = language_model.layers[:1]
        one = dataclasses.asdict(_measured(model, arguments))
    further = int(text.num_hidden_layers) - 1
    values = {name: one[name] + further * (two[name] - one[name]) for name in one}
    return Footprint(**values | {"layer_token": two["token"] - one["token"]})


def shape_model(config: FastVlmConfig, arguments: Arguments) -> nn.Module:
    """Return the model that a run with these arguments would train, without its numbers."""
    with torch.device("meta"):
        model: Any = FastVlmForConditionalGeneration(config)
    if arguments.model.quantize != "none":
        model.to(torch.bfloat16)  # as it is loaded then, but for what is quantised
    named = cast(Checkpoint, SimpleNamespace(model=model))
    return prepare_model(arguments, named, lora=lora_of(arguments.model))


def _measured(model: nn.Module, arguments: Arguments) -> Footprint:
    """Return the footprint of a model whose tensors have no numbers."""
    trained = [(n, p.numel()) for n, p in model.named_parameters() if p.requires_grad]
    inner, dtype = plain_model(model), autocast_dtype(arguments.training)
    text, tower, head = inner.config.text_config, inner.model.vision_tower, inner.lm_head.weight
    itemsize = (dtype or torch.float32).itemsize
    copies, token = kept_of_tokens(model, autocast_dtype=dtype)
    first = next(module for module in tower.modules() if isinstance(module, nn.Conv2d))
    return Footprint(
        weights=_weight_bytes(model, arguments.model.quantize),
        num_trained=sum(number for _, number in trained),
        num_trained_tower=sum(n for name, n in trained if part_of(name) == "vision_tower"),
        token=token,
        layer_token=0.0,
        residual_token=text.hidden_size * 4.0 * len(inner.model.language_model.layers),
        copies=copies,
        visual_token=_kept_of_frames(model, dtype),
        px=_kept_of_pixels(model, dtype),
        tower_width=first.out_channels,
        tower_itemsize=next(tower.parameters()).itemsize,
        hidden=text.intermediate_size * itemsize,
        head=head.numel() * 4.0 if head.requires_grad else 0.0,
        vocabulary_rows=len(head),
        head_itemsize=itemsize,
    )


def _with_layers(config: FastVlmConfig, number: int) -> FastVlmConfig:
    changed = copy.deepcopy(config)
    text: Any = changed.text_config
    text.num_hidden_layers = number
    if getattr(text, "layer_types", None) is not None:
        text.layer_types = text.layer_types[:1] * number
    return changed


def _weight_bytes(model: nn.Module, quantize: str) -> float:
    total = float(sum(buffer.nbytes for buffer in model.buffers()))
    for name, weight in model.named_parameters():
        is_quantised = (
            quantize != "none"
            and part_of(name) == "language_model"
            and not weight.requires_grad
            and name.endswith("proj.base_layer.weight")
        )
        total += weight.numel() * (QUANTISED_BYTES[quantize] if is_quantised else weight.itemsize)
    return total


@contextmanager
def _without_numbers(model: nn.Module) -> Iterator[None]:
    """Let a model on the meta device run as if it were on a CPU; its results have no numbers."""
    whole = plain_model(model)
    inner, words = whole.model, whole.model.language_model.embed_tokens
    at_rest, is_tied = tower_is_at_rest(model), whole.lm_head.weight is words.weight
    set_train_mode(model)
    with FakeTensorMode(allow_non_fake_inputs=True):
        for part in (inner.language_model, inner.multi_modal_projector):
            part.to_empty(device="cpu")
        if not at_rest:
            inner.vision_tower.to_empty(device="cpu")
        if is_tied:
            whole.lm_head.weight = words.weight
        yield


def _kept_of_frames(model: nn.Module, dtype: torch.dtype | None) -> float:
    """Return what the projector keeps of a visual token."""
    weight = next(plain_model(model).model.vision_tower.parameters())
    width = plain_model(model).config.vision_config.hidden_size

    def compute(num_tokens: int) -> Tensor:
        return project(model, torch.zeros(1, num_tokens, width, dtype=weight.dtype))

    first, second = (
        kept_bytes(model, partial(compute, number), autocast_dtype=dtype) for number in PROBE_TOKENS
    )
    return (second - first) / (PROBE_TOKENS[1] - PROBE_TOKENS[0])


def _kept_of_pixels(model: nn.Module, dtype: torch.dtype | None) -> float:
    """Return what the tower keeps of a pixel; 0 where it is at rest."""
    if tower_is_at_rest(model):
        return 0.0
    tower = plain_model(model).model.vision_tower
    tower.timm_model.set_grad_checkpointing(False)  # what it keeps then would not be seen here

    def compute(side_px: int) -> object:
        frame = torch.zeros(1, 3, side_px, side_px).contiguous(memory_format=torch.channels_last)
        return tower(frame).last_hidden_state

    first, second = (
        kept_bytes(model, partial(compute, side), autocast_dtype=dtype) for side in PROBE_SIDES_PX
    )
    return (second - first) / (PROBE_SIDES_PX[1] ** 2 - PROBE_SIDES_PX[0] ** 2)
