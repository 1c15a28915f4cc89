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

from flipbook.data.conversation import IGNORE_INDEX


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
    pixel_values = None
    if batch.get("frames") is not None:
        pixel_values = normalise_frames(
            batch["frames"], image_mean=image_mean, image_std=image_std, dtype=tower_dtype(model)
        )
    output = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        pixel_values=pixel_values,
        logits_to_keep=keep,
        use_cache=False,
    )
    logits = output.logits  # (N, V)
    summed = nn.functional.cross_entropy(
        logits.float(), targets, reduction="sum", label_smoothing=label_smoothing
    )
    divisor = targets.numel() if num_items is None else num_items
    return SupervisedLoss(summed / divisor, logits, targets)


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
