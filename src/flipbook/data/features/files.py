"""How do features lie on disk?

    features (T, P, C), key  ->  bytes of a safetensors file  ->  the same features, bit for bit

The file holds a hash of all that it says, its own key included. Whatever is cut off, altered, or
lies under another name is no features at all, and neither is a pipe or a device, which is never
opened: whoever reads one may wait for ever. Reading maps the file into memory.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

_NAME = "features"


class StoredFeatures(NamedTuple):
    """The features (T, P, C) of a clip, and how many of its T frames repeat another."""

    features: Tensor
    num_repeated: int


def pack_features(features: Tensor, *, key: str, num_repeated: int) -> bytes:
    """Return the content of the file that holds features.

    Raises:
        ValueError: they are not (T, P, C).
    """
    if features.ndim != 3:
        raise ValueError(f"features must be (T, P, C), got {tuple(features.shape)}")
    features = features.detach().to("cpu").contiguous()
    seal = _seal(features, key=key, num_repeated=str(num_repeated))
    metadata = {"key": key, "num_repeated": str(num_repeated), "seal": seal}
    return save({_NAME: features}, metadata)


def read_features(path: str | os.PathLike[str], *, key: str) -> StoredFeatures | None:
    """Return the features in a file; None where there is none, or none that is sound.

    They are mapped: the file may be replaced or deleted while they are in use.
    """
    if not os.path.isfile(path):
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            features: Tensor = file.get_tensor(_NAME)
        num_repeated = metadata["num_repeated"]
        if metadata["seal"] != _seal(features, key=key, num_repeated=num_repeated):
            return None
        return StoredFeatures(features, int(num_repeated))
    # A damaged header can be anything, and says so in many ways.
    except (OSError, SafetensorError, RuntimeError, ValueError, LookupError, TypeError):
        return None


def _seal(features: Tensor, *, key: str, num_repeated: str) -> str:
    said = f"{key} {num_repeated} {features.dtype} {tuple(features.shape)}"
    hashed = xxhash.xxh3_128(said.encode())
    values: Any = features.reshape(-1).view(torch.uint8).numpy()
    hashed.update(values)
    return hashed.hexdigest()
