"""Which vision tower, at which precision and on what, made these features?

    model, normalisation, device  ->  one line of text, equal for equal features

Two towers with the same line make the same features of the same frames, bit for bit, on the same
machine: whatever else may change the last bit of a feature is in it. Mixed precision is not, since
the tower runs outside of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import timm
import torch
from torch import nn

from flipbook.model.adapters.fingerprint import fingerprint_tensors
from flipbook.model.fastvlm import PX_PER_CALL, plain_model

ENCODING_RULE = 1  # raise it when the same tower makes other features of a clip than before


def encoder_fingerprint(
    model: nn.Module,
    *,
    image_mean: Sequence[float],
    image_std: Sequence[float],
    device_type: str | None = None,
) -> str:
    """Return what tells the vision tower of a model from all others.

    Args:
        model: a FastVLM, or a wrapper around one (PEFT, DDP).
        image_mean, image_std: by which frames are normalised.
        device_type: "cpu" or "cuda", on which the tower will run; where it is now, when none.
    """
    tower = plain_model(model).model.vision_tower
    weight = next(tower.parameters())
    device_type = device_type or weight.device.type
    facts = {
        "weights": fingerprint_tensors(tower.state_dict()),
        "architecture": [tower.config.architecture, tower.config.model_args],
        "dtype": str(weight.dtype),
        "mean": list(image_mean),
        "std": list(image_std),
        "device": device_type,
        "px_per_call": PX_PER_CALL.get(device_type),
        "rule": ENCODING_RULE,
        "torch": torch.__version__,
        "timm": timm.__version__,
    }
    return json.dumps(facts, sort_keys=True)
