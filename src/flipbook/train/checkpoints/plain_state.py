"""How are the states of optimizer, schedule and random numbers kept without pickle?

    nested dicts, lists, tuples, numbers, words, tensors  ->  NAME.json, NAME.safetensors
    the two files  ->  the same, bit by bit

JSON knows neither tuples nor numbers as keys, so what is no plain value is an object of one key:
`{"tuple": [...]}`, `{"dict": [[key, value], ...]}`, `{"tensor": "0"}`. Numbers are written with all
their digits, so they come back as they were.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from flipbook.errors import CheckpointError

_PLAIN = (str, int, float, bool, type(None))


def save_state(folder: Path, name: str, state: Any) -> None:
    """Write a state as two files.

    Raises:
        CheckpointError: it holds something that cannot be written without pickle.
        OSError, SafetensorError: the files cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    try:
        content = _encode(state, tensors)
    except TypeError as error:
        raise CheckpointError(
            f"The state of {name} holds {error}, which cannot be kept without pickle. Nothing of "
            "this checkpoint was kept. Choose another optimizer or schedule."
        ) from error
    save_file(tensors, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def load_state(folder: Path, name: str) -> Any:
    """Return what `save_state` wrote; its tensors lie in the memory of the CPU.

    Raises:
        CheckpointError: a file is missing, or is not what was written.
    """
    try:
        content = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return _decode(content, load_file(folder / f"{name}.safetensors"))
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: {name}.json and {name}.safetensors cannot be read ({error}), so a run "
            "cannot go on from here. Take an older checkpoint."
        ) from error


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if type(value) in _PLAIN:
        return value
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, Mapping):
        for key in value:
            if type(key) not in _PLAIN:
                raise TypeError(f"a key of the kind {type(key).__name__}")
        return {"dict": [[key, _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (int, float)):  # of numpy, and enumerations
        return value.item() if hasattr(value, "item") else type(value).__base__(value)  # type: ignore[misc]
    raise TypeError(f"a value of the kind {type(value).__name__}")


def _decode(content: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(content, list):
        return [_decode(item, tensors) for item in content]
    if not isinstance(content, dict):
        return content
    ((kind, value),) = content.items()
    kinds: dict[str, Callable[[], Any]] = {
        "tensor": lambda: tensors[value],
        "tuple": lambda: tuple(_decode(item, tensors) for item in value),
        "dict": lambda: {key: _decode(item, tensors) for key, item in value},
    }
    return kinds[kind]()
