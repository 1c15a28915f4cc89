from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from flipbook.errors import CheckpointError
from flipbook.train.checkpoints.plain_state import load_state, save_state
from flipbook.train.checkpoints.random_state import random_state, set_random_state

CPU = torch.device("cpu")


def _again(folder: Path, state: Any) -> Any:
    save_state(folder, "state", state)
    return load_state(folder, "state")


def test_values_come_back_as_they_were(tmp_path: Path) -> None:
    state = {
        0: {"step": torch.tensor(3.0), "m": torch.rand(2, 3)},
        "betas": (0.9, 0.1 + 0.2),
        "list": [1, None, True, "word", math.inf, (1, (2,))],
        "empty": {},
    }
    again = _again(tmp_path, state)
    assert torch.equal(again[0].pop("m"), state[0].pop("m"))
    assert torch.equal(again[0].pop("step"), state[0].pop("step"))
    assert again == state
    assert isinstance(again["betas"], tuple)
    assert again["list"][2] is True


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.SGD, torch.optim.Adafactor])
def test_an_optimizer_goes_on_bit_by_bit(tmp_path: Path, kind: Any) -> None:
    def made() -> tuple[nn.Linear, Any, Any]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        optimizer = kind([{"params": [layer.weight], "lr": 0.1}, {"params": [layer.bias]}], lr=0.01)
        return layer, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 1 / (n + 1))

    def learn(layer: nn.Linear, optimizer: Any, schedule: Any) -> None:
        layer(torch.arange(3.0)).square().sum().backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()

    one, optimizer, schedule = made()
    learn(one, optimizer, schedule)
    save_state(tmp_path, "optimizer", optimizer.state_dict())
    save_state(tmp_path, "schedule", schedule.state_dict())
    other, other_optimizer, other_schedule = made()
    other.load_state_dict(one.state_dict())
    other_optimizer.load_state_dict(load_state(tmp_path, "optimizer"))
    other_schedule.load_state_dict(load_state(tmp_path, "schedule"))
    learn(one, optimizer, schedule)
    learn(other, other_optimizer, other_schedule)
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(one.bias, other.bias)


def test_random_numbers_go_on(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, list[float]]:
        return random.random(), float(np.random.rand()), torch.rand(3).tolist()  # noqa: S311

    random.gauss(0, 1)  # which keeps a second number for later
    np.random.standard_normal()
    kept = _again(tmp_path, random_state(CPU))
    first = draw(), random.gauss(0, 1), np.random.standard_normal()
    set_random_state(kept, CPU)
    assert (draw(), random.gauss(0, 1), np.random.standard_normal()) == first


def test_what_needs_pickle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a value of the kind set, which cannot be kept"):
        save_state(tmp_path, "optimizer", {"odd": {1, 2}})
    with pytest.raises(CheckpointError, match="a key of the kind tuple"):
        save_state(tmp_path, "optimizer", {(1, 2): 3})


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b'{"tensor": "7"}'])
def test_a_missing_or_wrong_file_is_an_error(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    save_state(tmp_path, "state", {"a": torch.rand(2)})
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="state.json and state.safetensors cannot be read"):
        load_state(tmp_path, "state")
