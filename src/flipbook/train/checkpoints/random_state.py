"""Where are all random numbers of this process?

python, numpy, torch, the GPU of this process  ->  a state of plain values and tensors
that state  ->  the same numbers again
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the states of all sources of random numbers that training may draw from."""
    numpy_state: dict[str, Any] = dict(np.random.get_state(legacy=False))
    numpy_state["state"] = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in numpy_state["state"].items()
    }
    state = {"python": random.getstate(), "numpy": numpy_state, "cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Let all sources go on from a state.

    That of a GPU is set where the state was taken on one of the same kind.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: it is no such state.
    """
    numpy_state = dict(state["numpy"])
    inner = dict(numpy_state["state"])
    inner["key"] = np.array(inner["key"], dtype=np.uint32)
    numpy_state["state"] = inner
    random.setstate(state["python"])
    np.random.set_state(numpy_state)
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
    if device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"])
