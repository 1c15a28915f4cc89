"""Does the fit find the coefficients that made the measurements, and is what it holds out new?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from fixtures_model import make_checkpoint
from flipbook.model.fastvlm import encode_visuals
from flipbook.train.planning.footprint import Footprint
from flipbook.train.planning.forecast import MemoryModel, StepShape

Load = Callable[[str], ModuleType]
PLANTED = {
    "libraries": 9e8,
    "weights": 1.1,
    "moments": 1.2,
    "activations": 1.4,
    "layer again": 1.2,
    "freed activations": 0.8,
    "left activations": 0.5,
    "head": 0.9,
    "working": 1.5,
    "gradients": 0.8,
    "embeddings": 0.7,
    "tower": 2.0,
    "kept tower": 1.1,
    "recomputed tower": 0.8,
}


def footprint(scale: float, *, trained: float, px: float = 0.0) -> Footprint:
    return Footprint(
        weights=4e8 * scale,
        num_trained=1e8 * scale * trained,
        num_trained_tower=1e7 if px else 0.0,
        token=5e5 * scale,
        layer_token=1e5 * scale,
        residual_token=2e4 * scale,
        copies=0.0,
        visual_token=2e4,
        px=px,
        tower_width=96.0,
        tower_itemsize=4.0,
        hidden=2e4 * scale,
        head=1e8 * scale * (trained == 1.0),
        vocabulary_rows=5e4,
        head_itemsize=4.0,
    )


def measured(load: Load, *, scales: tuple[float, ...]) -> list[Any]:
    """Return what steps of many shapes would take by the planted coefficients."""
    fit, case = load("memory_fit"), load("memory_cases").Case("a")
    planted = MemoryModel(PLANTED, 0, 0, 0.0, 0.0, "cpu")
    found = []
    for scale in scales:
        for trained in (0.05, 1.0):
            for tokens in (100, 1000, 4000):
                for recomputes in (False, True):
                    for px in (0.0, 3000.0):
                        shape = footprint(scale, trained=trained, px=px)
                        step = StepShape(tokens, tokens // 10, 4, 512, recomputes)
                        peak = planted.predict(shape, step).peak_bytes
                        found.append(fit.Measured(case, shape, step, peak))
    return found


def test_the_fit_finds_what_was_planted(load_benchmark: Load) -> None:
    held_out = measured(load_benchmark, scales=(3.0,))
    fit = load_benchmark("memory_fit")
    model = fit.fit(measured(load_benchmark, scales=(0.5, 1.0, 2.0)), held_out)
    assert model.mean_error < 0.01
    assert model.max_error < 0.05
    assert model.num_held_out == len(held_out) == 24
    assert model.coefficients["libraries"] == pytest.approx(9e8, rel=0.1)
    assert model.coefficients["activations"] == pytest.approx(1.4, rel=0.1)
    assert model.facts["in_sample_mean_error"] < 0.01


def test_a_wrong_measurement_is_seen_in_the_error(load_benchmark: Load) -> None:
    fit = load_benchmark("memory_fit")
    fitted = measured(load_benchmark, scales=(1.0, 2.0))
    doubled = [replace(one, peak=2 * one.peak) for one in fitted]
    assert fit.fit(fitted, doubled).mean_error == pytest.approx(0.5, abs=0.02)


def test_no_coefficient_is_below_nothing(load_benchmark: Load) -> None:
    fit = load_benchmark("memory_fit")
    rows = [{"a": float(n), "b": 100.0 * (n % 3), "libraries": 1.0} for n in range(1, 9)]
    peaks = [2000.0 + 3 * row["a"] - 5 * row["b"] for row in rows]
    found = fit._least_squares(rows, peaks)
    assert found["b"] == 0
    assert found["a"] > 0


def test_cases_that_are_held_out_have_other_sizes(load_benchmark: Load) -> None:
    cases = load_benchmark("memory_cases")
    assert not {case.text for case in cases.HELD_OUT} & {case.text for case in cases.CASES}
    assert len(set(cases.CASES)) == len(cases.CASES)
    assert len(set(cases.HELD_OUT)) == len(cases.HELD_OUT)


def test_a_case_is_the_batch_that_is_predicted(load_benchmark: Load) -> None:
    cases, memory = load_benchmark("memory_cases"), load_benchmark("memory")
    case = cases.Case("a", samples=3, frames=2, side=128, words=20)
    batch, step = memory.make_batch(case, rows=100), cases.step_of(case)
    assert batch["input_ids"].numel() == step.num_tokens == 3 * (2 * 5 + 20)
    assert int((batch["labels"] >= 0).sum()) == step.num_targets
    assert sum(len(frames) for frames in batch["frames"]) == step.num_frames == 6
    image_tokens = int((batch["input_ids"] == cases.IMAGE_TOKEN_ID).sum())
    assert image_tokens == step.num_frames * (step.side_px // 64) ** 2


@pytest.mark.slow
def test_the_smoke_mode_goes_through(
    load_benchmark: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_benchmark("memory").main(["--smoke"]) == 0
    printed = capsys.readouterr().out
    assert "# Memory of a step: predicted and measured" in printed
    assert "written to" not in printed


def test_a_batch_has_a_place_for_each_feature(load_benchmark: Load) -> None:
    case = load_benchmark("memory_cases").Case("a", samples=3, frames=2, side=128, words=30)
    memory = load_benchmark("memory")
    batch = memory.make_batch(case, rows=memory.IMAGE_TOKEN_ID + 2)
    checkpoint = make_checkpoint()
    features = encode_visuals(checkpoint.model, batch)
    places = int((batch["input_ids"] == memory.IMAGE_TOKEN_ID).sum())
    assert [len(seen) for seen in features] == [2, 2, 2]
    assert sum(seen.shape[0] * seen.shape[1] for seen in features) == places == 24
