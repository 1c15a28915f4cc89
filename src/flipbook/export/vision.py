"""What does a FastVLM see with, apart from its language model?

    Checkpoint  ->  module: pictures (F, 3, S, S) in [0, 1]  ->  what the language model reads

Programs in other formats are made from this one module, so all of them take the same pictures:
float32, RGB, values 0 to 1. Mean and standard deviation are applied inside.
"""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flipbook.errors import ArgumentError, CheckpointError
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import tower_dtype
from flipbook.model.initialise import probe_images

# In units of the largest feature; benchmarks/homes.py measures what is reached.
LARGEST_DIFFERENCE = {torch.float32: 1e-4, torch.float16: 2e-2}


class Eyes(nn.Module):
    """Vision tower and projector of a checkpoint: a copy, on the CPU, at rest.

    Called with pictures (F, 3, S, S) it returns what the tower sees, (F, P, C), and what the
    language model reads of it, (F, P, D). Both are float32, whatever the weights are.

    Args:
        checkpoint: left as it is.
        dtype: of the copied weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, checkpoint: Checkpoint, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        inner = checkpoint.model.model
        self.tower = copy.deepcopy(inner.vision_tower).to("cpu", dtype)
        self.projector = copy.deepcopy(inner.multi_modal_projector).to("cpu", dtype)
        self.dtype = dtype
        self.plain = not any(checkpoint.image_mean) and set(checkpoint.image_std) == {1.0}
        self.register_buffer("mean", torch.tensor(checkpoint.image_mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(checkpoint.image_std).view(3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        pixel_values = images if self.plain else (images - self.mean) / self.std
        seen = self.tower(pixel_values.to(self.dtype)).last_hidden_state  # (F, C, h, w)
        image_features = seen.flatten(2).permute(0, 2, 1)  # (F, P, C)
        features = self.projector(image_features)  # (F, P, D)
        return image_features.float(), features.float()


def export_dtype(checkpoint: Checkpoint) -> torch.dtype:
    """Return the dtype in which the programs compute: float16 for a float16 tower, else float32.

    They know no bfloat16 on a CPU, and every bfloat16 number is a float32 number.
    """
    return torch.float16 if tower_dtype(checkpoint.model) == torch.float16 else torch.float32


def describe_input(checkpoint: Checkpoint) -> dict[str, str]:
    """Return what a reader of a program must know to feed it, as text under short names."""
    settings = checkpoint.clip_settings
    return {
        "frame_size": str(settings.frame_size),
        "aspect": settings.aspect,
        "tokens_per_frame": str(settings.tokens_per_frame),
        "sampler": settings.sampler,
        "num_frames": str(settings.num_frames),
        "pixel_range": "0 to 1, RGB; mean and std are applied inside",
        "image_mean": " ".join(map(str, checkpoint.image_mean)),
        "image_std": " ".join(map(str, checkpoint.image_std)),
    }


def example_images(checkpoint: Checkpoint, num_images: int) -> Tensor:
    """Return pictures (F, 3, S, S) in [0, 1] at the checkpoint's side."""
    return probe_images(num_images, frame_size=checkpoint.clip_settings.frame_size, seed=0)


def refuse_difference(path: Path, difference: float, *, dtype: torch.dtype) -> None:
    """Return when a program computes what its model does, as far as its dtype allows.

    Args:
        difference: the largest one to torch, in units of the largest feature.

    Raises:
        CheckpointError: it is above the limit for `dtype`, or no number.
    """
    if not difference <= LARGEST_DIFFERENCE[dtype]:
        raise CheckpointError(
            f"{path}: the program differs from the model by {difference:.1e} of the largest "
            f"feature, more than {LARGEST_DIFFERENCE[dtype]:.0e}. Install the "
            "versions that benchmarks/results/homes.md names."
        )


def need_package(name: str, *, extra: str) -> Any:
    """Return the imported package `name`.

    Raises:
        ArgumentError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ArgumentError(
            f"this layout needs the package {name}, which cannot be imported ({error}). Install "
            f"it: pip install 'flipbook-vlm[{extra}]'"
        ) from error
