"""Do the benchmarks run, and count rightly?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fixtures_model import make_checkpoint
from flipbook.model.reach import row_mask, row_reach

Load = Callable[[str], ModuleType]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("input", "## Memory of a batch"),
        ("train", "## Growth with questions a clip"),
        ("gpu", "Projector and language model,"),
        ("ranks", "# Processes of one run"),
        ("techniques", "# Techniques on the temporal suite"),
    ],
)
def test_the_smoke_mode_goes_through(
    name: str, heading: str, load_benchmark: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_benchmark(name).main(["--smoke"]) == 0
    assert heading in capsys.readouterr().out


def test_packing_is_counted(load_benchmark: Load, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_benchmark("packing").main(["--smoke"]) == 0
    assert "## Packed rows of 8 questions a pass" in capsys.readouterr().out


def test_each_step_with_a_manifest_is_measured(load_benchmark: Load, tmp_path: Path) -> None:
    manifest = load_benchmark("manifest")
    place = tmp_path / "small"
    manifest.generate(place, 20)
    steps = {step: manifest.take_step(step, place) for step in manifest.STEPS}
    assert len(manifest.table_files(place)) == 1
    page = manifest.page([{"size": 20, "manifest_mb": 1, "table_mb": 1} | steps])
    assert page.count("| 20 | ") == 2


@pytest.mark.parametrize("name", ["input", "train", "gpu"])
def test_what_is_missing_is_said(
    name: str,
    load_benchmark: Load,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(load_benchmark("reference"), "has_decord", lambda: False)
    assert load_benchmark(name).main([]) == 2
    assert "pip install decord" in capsys.readouterr().err


@pytest.mark.parametrize("segments", [(7,), (4, 2), (5, 1, 3, 2)])
def test_pairs_are_those_of_the_mask(segments: tuple[int, ...], load_benchmark: Load) -> None:
    mask = row_mask(row_reach([segments], device="cpu"))
    assert load_benchmark("gpu").num_pairs(segments) == int(mask.sum())


def test_operations_of_a_language_model(load_benchmark: Load) -> None:
    gpu = load_benchmark("gpu")
    model = make_checkpoint().model
    labels = torch.full((1, 6), -100)
    labels[0, 4:] = 7
    batch: dict[str, Any] = {"input_ids": labels, "labels": labels, "segments": [(6,)]}
    linear = sum(
        parameter.numel()
        for name, parameter in model.model.language_model.layers.named_parameters()
        if name.endswith("proj.weight")
    )
    head, width, layers = model.lm_head.weight.numel(), 64, 2
    attention = 2 * width * layers * 21  # 1 + 2 + ... + 6 pairs, in scores and in sums
    assert gpu.language_flops(model, batch) == 2 * 3 * (linear * 6 + head * 2 + attention)


def test_ways_are_measured_in_turns(load_benchmark: Load) -> None:
    seen: list[str] = []
    times = iter(range(100))
    spent = load_benchmark("measuring").in_turns(
        {"a": lambda: seen.append("a"), "b": lambda: seen.append("b")},
        repetitions=2,
        clock=lambda: next(times),
    )
    assert seen == ["a", "b"] * 3
    assert spent == {"a": 1, "b": 1}


def test_a_table_has_figures_of_a_fitting_width(load_benchmark: Load) -> None:
    lines = load_benchmark("measuring").table(["way", "ms"], [["a", 1234.5], ["b", 0.126]])
    assert lines == ["| way | ms |", "| --- | --- |", "| a | 1,234 |", "| b | 0.13 |"]
