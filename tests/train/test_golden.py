"""Do ways of training that must be alike give the losses that they have always given?

Two tolerances, for the largest and the mean difference of eight losses between 2 and 7. Ways of one
class, run one after the other on one machine, differ by 1e-6 at most (sums in another order). A
curve in git was made on another machine: with SSE4, AVX2 and AVX-512 code the losses differ by 3e-6
at most, and a hundred times that is left for decoders and versions. The faults below move a loss by
more than ten times as much.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures_golden import CLASSES, GOLDEN, NUM_STEPS, data_of, losses_of
from flipbook.data.generated.write import GeneratedData
from flipbook.train import trainer

IN_A_CLASS = (1e-5, 5e-6)  # largest and mean difference
WITH_GOLDEN = (1e-3, 3e-4)


@pytest.fixture
def run_way(fast_vlm_folder: Path, generated: GeneratedData, tmp_path: Path) -> Any:
    def run(name: str, way: str, **changed: Any) -> list[float]:
        return losses_of(
            CLASSES[name][way] | changed,
            model=fast_vlm_folder,
            data_path=data_of(name, generated),
            folder=tmp_path / way,
        )

    return run


def golden(name: str) -> list[float]:
    curve: list[float] = json.loads((GOLDEN / f"{name}.json").read_text())["losses"]
    assert len(curve) == NUM_STEPS
    return curve


def differences(losses: list[float], others: list[float]) -> tuple[float, float]:
    """Return the largest and the mean absolute difference of two curves."""
    apart = np.abs(np.array(losses) - np.array(others))
    return float(apart.max()), float(apart.mean())


def are_within(found: tuple[float, float], allowed: tuple[float, float]) -> bool:
    return all(one <= other for one, other in zip(found, allowed, strict=True))


@pytest.mark.parametrize(("name", "way"), [("accumulation", "1x4"), ("prefix", "shared")])
def test_a_way_keeps_to_the_curve_of_its_class(run_way: Any, name: str, way: str) -> None:
    found = differences(run_way(name, way), golden(name))
    assert are_within(found, WITH_GOLDEN), found


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_all_ways_of_a_class_are_alike(run_way: Any, name: str) -> None:
    first, *others = (run_way(name, way) for way in CLASSES[name])
    for losses in others:
        found = differences(losses, first)
        assert are_within(found, IN_A_CLASS), found
    found = differences(first, golden(name))
    assert are_within(found, WITH_GOLDEN), found


def _shifted(real: Any) -> Any:
    def loss(model: Any, batch: Any, **kwargs: Any) -> Any:
        return real(model, {**batch, "labels": torch.roll(batch["labels"], 1, dims=1)}, **kwargs)

    return loss


def _by_batch(real: Any) -> Any:
    def loss(model: Any, batch: Any, **kwargs: Any) -> Any:
        result = real(model, batch, **kwargs | {"num_items": None})
        return type(result)(result.loss / 4, result.num_targets)

    return loss


@pytest.mark.parametrize("fault", [_shifted, pytest.param(_by_batch, marks=pytest.mark.slow)])
def test_a_curve_tells_a_fault(run_way: Any, monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    """Labels one place off; batches that weigh alike, however many of their tokens are learned."""
    monkeypatch.setattr(trainer, "supervised_loss", fault(trainer.supervised_loss))
    losses = run_way("accumulation", "1x4", max_steps=2)
    assert differences(losses, golden("accumulation")[:2])[0] > 10 * WITH_GOLDEN[0]


@pytest.mark.parametrize("name", CLASSES)
def test_a_curve_says_what_made_it(name: str) -> None:
    curve = json.loads((GOLDEN / f"{name}.json").read_text())
    assert curve["way"] == next(iter(CLASSES[name]))
    assert {"torch", "transformers"} <= curve["made_by"].keys()
    assert len(golden(name)) == NUM_STEPS
