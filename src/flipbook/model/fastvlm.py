"""How does a FastVLM read a batch of flipbooks?

    frames uint8 (B, T, 3, S, S) or (F, 3, S, S) -> pixel values (F, 3, S, S) -> features (F, P, D)
    Batch -> loss over the supervised tokens

The class of `transformers` is used unchanged: frames are ordinary images to it, encoded one by one
and put back in the order in which their placeholders stand. Only positions whose next token is
supervised meet the vocabulary-wide head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from flipbook.data.conversation import IGNORE_INDEX

# How many pixels the tower takes at a time. On a CPU, more leaves the caches and has the system map
# and unmap memory at each layer (benchmarks/encode.py); on a GPU, fewer leaves it idle.
PX_PER_CALL = {"cpu": 2**20, "cuda": 2**24}


@dataclass(frozen=True)
class SupervisedLoss:
    """What a forward pass over a Batch returns.

    Attributes:
        loss: scalar float32, the sum of the token losses over `num_items`.
        logits: (N, V), the scores at the N supervised positions of the batch, row by row.
        targets: (N,) int64, the token that each of them should have predicted.
    """

    loss: Tensor
    logits: Tensor
    targets: Tensor


def flatten_frames(frames: Tensor) -> Tensor:
    """Return frames (B, T, 3, S, S) or (F, 3, S, S) as (F, 3, S, S), clip by clip, in order.

    Raises:
        ValueError: the tensor has neither 4 nor 5 dimensions, or not 3 channels.
    """
    if frames.ndim not in (4, 5) or frames.shape[-3] != 3:
        raise ValueError(
            f"frames must be (B, T, 3, S, S) or (F, 3, S, S), got {tuple(frames.shape)}"
        )
    return frames.flatten(0, -4)  # (F, 3, S, S)


def normalise_frames(
    frames: Tensor,
    *,
    image_mean: Sequence[float] = (0.0, 0.0, 0.0),
    image_std: Sequence[float] = (1.0, 1.0, 1.0),
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return uint8 frames as pixel values `(frame / 255 - mean) / std`, on the frames' own device.

    Args:
        frames: uint8 (B, T, 3, S, S) or (F, 3, S, S), values 0 to 255.
        image_mean, image_std: per channel, in units of 0 to 1. FastVLM uses 0 and 1.
        dtype: of the result; the arithmetic is done in float32.

    Raises:
        ValueError: the frames are not uint8, or have a wrong shape.
    """
    if frames.dtype != torch.uint8:
        raise ValueError(f"frames must be uint8 (0 to 255), got {frames.dtype}")
    mean = torch.tensor(image_mean, device=frames.device).view(3, 1, 1)
    std = torch.tensor(image_std, device=frames.device).view(3, 1, 1)
    pixel_values = flatten_frames(frames).float().div_(255.0).sub_(mean).div_(std)
    return pixel_values.to(dtype)  # (F, 3, S, S)


def tower_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the vision tower's weights, which pixel values must have."""
    for name, parameter in model.named_parameters():
        if "vision_tower" in name:
            return parameter.dtype
    raise ValueError("the model has no vision tower: its parameter names hold no 'vision_tower'")


def encode_frames(
    model: nn.Module,
    frames: Tensor,
    *,
    image_mean: Sequence[float] = (0.0, 0.0, 0.0),
    image_std: Sequence[float] = (1.0, 1.0, 1.0),
) -> Tensor:
    """Return what the language model reads of each frame, (F, P, D), through a tower at rest.

    The tower runs without gradient over a few frames at a time, in the memory order its depthwise
    convolutions like: on a CPU that takes a third of the time of one large batch. The projector
    runs with gradient where it is wanted.

    Args:
        frames: uint8 (B, T, 3, S, S) or (F, 3, S, S), at least one, on any device.
    """
    inner: Any = getattr(model, "module", model)
    inner = inner.get_base_model() if hasattr(inner, "get_base_model") else inner
    flat = flatten_frames(frames)
    weight = next(inner.model.vision_tower.parameters())
    px_per_call = PX_PER_CALL.get(weight.device.type, PX_PER_CALL["cuda"])
    num_per_call = max(1, px_per_call // (flat.shape[-1] * flat.shape[-2]))
    maps = []
    with torch.no_grad():
        for part in torch.split(flat, num_per_call):
            pixel_values = normalise_frames(
                part.to(weight.device),
                image_mean=image_mean,
                image_std=image_std,
                dtype=weight.dtype,
            ).contiguous(memory_format=torch.channels_last)
            maps.append(inner.model.vision_tower(pixel_values).last_hidden_state)  # (f, C, h, w)
    tokens = torch.cat(maps).flatten(2).permute(0, 2, 1)  # (F, P, C)
    features: Tensor = inner.model.multi_modal_projector(tokens)
    return features  # (F, P, D)


def as_encoder_outputs(features: Tensor) -> dict[str, BaseModelOutputWithPooling]:
    """Return features (F, P, D) in the form in which the model takes them ready-made."""
    return {"image": BaseModelOutputWithPooling(pooler_output=features)}


def supervised_positions(labels: Tensor) -> Tensor:
    """Return bool (B, L): true where the next token is supervised.

    labels      -100 -100   A  <end>        position 1 predicts A, position 2 predicts <end>
    positions      0    1   1      0
    """
    keep = torch.zeros_like(labels, dtype=torch.bool)
    keep[:, :-1] = labels[:, 1:] != IGNORE_INDEX
    return keep  # (B, L)


def supervised_loss(
    model: nn.Module,
    batch: Mapping[str, Any],
    *,
    image_mean: Sequence[float] = (0.0, 0.0, 0.0),
    image_std: Sequence[float] = (1.0, 1.0, 1.0),
    num_items: Tensor | int | None = None,
    label_smoothing: float = 0.0,
) -> SupervisedLoss:
    """Return the loss of a Batch, computed only where there is a label.

    Args:
        model: a FastVLM, or a wrapper around one (PEFT, DDP, FSDP).
        batch: `input_ids`, `attention_mask`, `labels` (B, L) and, when it has pictures, `frames`.
        num_items: what the summed token losses are divided by; the batch's own number of
            supervised tokens when none.
        label_smoothing: share of the target's weight that all other tokens get.

    Raises:
        ValueError: no token of the batch is supervised: there is nothing to learn from.
    """
    labels: Tensor = batch["labels"]
    keep = supervised_positions(labels)
    targets = labels[:, 1:][keep[:, :-1]]  # (N,)
    if targets.numel() == 0:
        raise ValueError("no token of the batch is supervised")
    seen = _see(model, batch.get("frames"), image_mean=image_mean, image_std=image_std)
    output = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        logits_to_keep=keep,
        use_cache=False,
        **seen,
    )
    logits = output.logits  # (N, V)
    summed = nn.functional.cross_entropy(
        logits.float(), targets, reduction="sum", label_smoothing=label_smoothing
    )
    divisor = targets.numel() if num_items is None else num_items
    return SupervisedLoss(summed / divisor, logits, targets)


def _see(
    model: nn.Module,
    frames: Tensor | None,
    *,
    image_mean: Sequence[float],
    image_std: Sequence[float],
) -> dict[str, Any]:
    """Return the frames as the argument through which the model takes them.

    A tower that learns, or whose weights are spread over processes, must see them inside the
    model's own forward pass.
    """
    if frames is None:
        return {}
    tower = [p for name, p in model.named_parameters() if "vision_tower" in name]
    if any(p.requires_grad or isinstance(p, DTensor) for p in tower):
        pixel_values = normalise_frames(
            frames, image_mean=image_mean, image_std=image_std, dtype=tower[0].dtype
        )
        return {"pixel_values": pixel_values}
    features = encode_frames(model, frames, image_mean=image_mean, image_std=image_std)
    return {"mm_encoder_outputs": as_encoder_outputs(features)}


def touch_vision(model: nn.Module, *, frame_size: int) -> Tensor:
    """Return a zero that depends on every weight between a frame and the language model.

    A batch of texts leaves the tower and the projector without a gradient, on which the other
    processes of a distributed run would wait for ever. Adding this to its loss gives them one of 0.
    """
    weight = next(model.parameters())
    blank = torch.zeros(
        1, 3, frame_size, frame_size, dtype=tower_dtype(model), device=weight.device
    )
    inner: Any = getattr(model, "module", model)
    features: Tensor = inner.get_image_features(pixel_values=blank).pooler_output  # (1, P, D)
    return features.float().sum() * 0.0
