"""What does a FastVLM see of frames?

    frames uint8 (T, 3, S, S) -> pixel values (T, 3, S, S) -> tower features (T, P, C)
    tower features (F, P, C)  -> what the language model reads (F, P, D)
    Batch -> tower features of each video and image in it

The class of `transformers` is used unchanged: frames are ordinary images to it, put back in the
order in which their placeholders stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

# How many pixels the tower takes at a time. On a CPU, more leaves the caches and has the system map
# and unmap memory at each layer (benchmarks/encode.py); on a GPU, fewer leaves it idle.
PX_PER_CALL = {"cpu": 2**20, "cuda": 2**24}


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
    pixel_values = flatten_frames(frames).float().div_(255.0)
    if any(mean != 0 for mean in image_mean):  # FastVLM's are 0 and 1: nothing to move to a GPU
        pixel_values.sub_(torch.tensor(image_mean, device=frames.device).view(3, 1, 1))
    if any(std != 1 for std in image_std):
        pixel_values.div_(torch.tensor(image_std, device=frames.device).view(3, 1, 1))
    return pixel_values.to(dtype)  # (F, 3, S, S)


def tower_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the vision tower's weights, which pixel values must have."""
    for name, parameter in model.named_parameters():
        if "vision_tower" in name:
            return parameter.dtype
    raise ValueError("the model has no vision tower: its parameter names hold no 'vision_tower'")


def plain_model(model: nn.Module) -> Any:
    """Return the FastVLM inside what distributes, compiles or adapts it."""
    inner: Any = model
    while True:
        wrapped = getattr(inner, "module", None) or getattr(inner, "_orig_mod", None)
        if wrapped is None:
            return inner.get_base_model() if hasattr(inner, "get_base_model") else inner
        inner = wrapped


def tower_is_at_rest(model: nn.Module) -> bool:
    """Return whether the tower can be run on its own, before the model's forward pass.

    One that learns, or whose weights are spread over processes, must see the frames inside it.
    """
    tower = plain_model(model).model.vision_tower
    return not any(p.requires_grad or isinstance(p, DTensor) for p in tower.parameters())


def tower_features(
    model: nn.Module,
    frames: Tensor,
    *,
    image_mean: Sequence[float] = (0.0, 0.0, 0.0),
    image_std: Sequence[float] = (1.0, 1.0, 1.0),
) -> Tensor:
    """Return what the vision tower makes of one video or image, (T, P, C), without gradient.

    A few frames at a time go through it, in the memory order its depthwise convolutions like: on a
    CPU that takes a third of the time of one large batch. How many depends on nothing but their
    size, and mixed precision is off: equal frames give equal bits, whatever else is in a batch.

    Args:
        frames: uint8 (T, 3, S, S), T of 1 or more, on any device.
    """
    tower = plain_model(model).model.vision_tower
    weight = next(tower.parameters())
    px_per_call = PX_PER_CALL.get(weight.device.type, PX_PER_CALL["cuda"])
    num_per_call = max(1, px_per_call // (frames.shape[-1] * frames.shape[-2]))
    maps = []
    with (
        torch.no_grad(),
        torch.autocast(weight.device.type, enabled=False),
        _pointwise_by_onednn(tower),
    ):
        for part in torch.split(frames, num_per_call):
            pixel_values = normalise_frames(
                part.to(weight.device, non_blocking=True),
                image_mean=image_mean,
                image_std=image_std,
                dtype=weight.dtype,
            ).contiguous(memory_format=torch.channels_last)
            maps.append(tower(pixel_values).last_hidden_state)  # (t, C, h, w)
        # Contiguous, as features from a file are: the projector's sums depend on the order.
        return torch.cat(maps).flatten(2).permute(0, 2, 1).contiguous()  # (T, P, C)


@contextmanager
def _pointwise_by_onednn(tower: nn.Module) -> Iterator[None]:
    """Let oneDNN compute the 1x1 convolutions of a tower on a CPU, also in a single thread.

    There torch takes slower code of its own for fewer than 16 pictures, unless the kernel is
    dilated. One of a single pixel has nothing to dilate: the result is the same.
    """
    pointwise = [
        module
        for module in tower.modules()
        if isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.weight.device.type == "cpu"
    ]
    before = [module.dilation for module in pointwise]
    for module in pointwise:
        module.dilation = (2, 2)
    try:
        yield
    finally:
        for module, dilation in zip(pointwise, before, strict=True):
            module.dilation = dilation


def encode_visuals(
    model: nn.Module,
    batch: Mapping[str, Any],
    *,
    image_mean: Sequence[float] = (0.0, 0.0, 0.0),
    image_std: Sequence[float] = (1.0, 1.0, 1.0),
) -> list[Tensor]:
    """Return the features (T, P, C) of each visual of a Batch, through a tower at rest.

    Those that were stored are only moved to the tower's device and dtype. The others are encoded
    one visual at a time.

    Args:
        batch: see `flipbook.data.batch.Batch`.
    """
    weight = next(plain_model(model).model.vision_tower.parameters())
    slots = batch["visuals"]
    stored = _taken_apart(batch.get("features", ()), [s for s in slots if s.is_stored])
    live = _taken_apart(batch.get("frames", ()), [s for s in slots if not s.is_stored])
    return [
        next(stored).to(weight.device, weight.dtype, non_blocking=True)
        if slot.is_stored
        else tower_features(model, next(live), image_mean=image_mean, image_std=image_std)
        for slot in slots
    ]


def _taken_apart(tensors: Sequence[Tensor], slots: Sequence[Any]) -> Iterator[Tensor]:
    """Yield the part of each slot, in their order."""
    starts = [0] * len(tensors)
    for slot in slots:
        start = starts[slot.part]
        starts[slot.part] += slot.num_frames
        yield tensors[slot.part][start : starts[slot.part]]


def join_features(parts: Sequence[Tensor]) -> Tensor:
    """Return the features (T, P, C) of some visuals as one: (F, P, C).

    Where their frames differ in side, and so in P, they stand token by token: (1, N, C).
    """
    if len({part.shape[1] for part in parts}) == 1:
        return torch.cat(list(parts))
    return torch.cat([part.flatten(0, 1) for part in parts])[None]


def project(model: nn.Module, features: Tensor) -> Tensor:
    """Return what the language model reads, (F, P, D), of tower features (F, P, C)."""
    projected: Tensor = plain_model(model).model.multi_modal_projector(features)
    return projected


def encode_frames(
    model: nn.Module,
    frames: Tensor,
    *,
    image_mean: Sequence[float] = (0.0, 0.0, 0.0),
    image_std: Sequence[float] = (1.0, 1.0, 1.0),
) -> Tensor:
    """Return what the language model reads of each frame, (F, P, D), through a tower at rest.

    Args:
        frames: uint8 (B, T, 3, S, S) or (F, 3, S, S), at least one, on any device.
    """
    features = tower_features(
        model, flatten_frames(frames), image_mean=image_mean, image_std=image_std
    )
    return project(model, features)  # (F, P, D)


def as_encoder_outputs(features: Tensor) -> dict[str, BaseModelOutputWithPooling]:
    """Return features (F, P, D) in the form in which the model takes them ready-made."""
    return {"image": BaseModelOutputWithPooling(pooler_output=features)}


def touch_vision(model: nn.Module, *, frame_size: int) -> Tensor:
    """Return a zero that depends on every weight that trains between a frame and the words.

    A batch of texts leaves the tower and the projector without a gradient, on which the other
    processes of a distributed run would wait for ever. Adding this to its loss gives them one of 0.
    """
    inner = plain_model(model)
    weight = next(inner.parameters())
    if tower_is_at_rest(model):
        width = inner.config.vision_config.hidden_size
        features = project(
            model, torch.zeros(1, 1, width, dtype=tower_dtype(model), device=weight.device)
        )
    else:
        blank = torch.zeros(
            1, 3, frame_size, frame_size, dtype=tower_dtype(model), device=weight.device
        )
        features = inner.get_image_features(pixel_values=blank).pooler_output  # (1, P, D)
    return features.float().sum() * 0.0
