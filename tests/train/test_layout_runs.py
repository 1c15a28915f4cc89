"""Can a model be trained in every layout, and is it refused what none of them can do?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures_data import Tune
from flipbook.errors import ArgumentError
from flipbook.model.checkpoint import load_checkpoint
from flipbook.train.parsing import parse_arguments
from flipbook.video.layouts import LAYOUTS


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "frames"])
def test_a_run_keeps_its_layout(tune: Tune, name: str, tmp_path: Path) -> None:
    features = "store" if name in ("pooled", "slow_fast") else "live"
    result = tune(frame_layout=name, max_steps=2, frame_features=features)
    log = (result.run_folder / "log.jsonl").read_text().splitlines()
    losses = [line["loss"] for line in map(json.loads, log) if "loss" in line]
    assert len(losses) == 2
    assert load_checkpoint(result.model_folder).clip_settings.layout == name


def test_a_tower_learns_from_a_grid(tune: Tune) -> None:
    result = tune(frame_layout="grid", train_parts="vision_tower", max_steps=1)
    assert load_checkpoint(result.model_folder).clip_settings.layout == "grid"


def parse(*flags: str) -> object:
    return parse_arguments(["--data_path", "rows.json", "--use_cpu=true", *flags])


@pytest.mark.parametrize("name", ["pooled", "spatio_temporal", "slow_fast"])
def test_a_tower_that_learns_is_not_pooled(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = (f"--frame_layout={name}", "--train_parts", "vision_tower", "projector")
    with pytest.raises(
        ArgumentError, match=rf"--frame_layout {name} .*frozen.*one of frames, grid"
    ):
        parse(*flags)
    arguments = parse_arguments(["--data_path", "rows.json", f"--frame_layout={name}"])
    monkeypatch.setattr(arguments.training, "fsdp", True)
    with pytest.raises(ArgumentError, match=r"--fsdp divides it. Leave one of them out"):
        type(arguments)(arguments.model, arguments.data, arguments.training)


def test_slow_frames_belong_to_one_layout() -> None:
    with pytest.raises(
        ArgumentError, match=r"--slow_frames 3 is used with --frame_layout slow_fast"
    ):
        parse("--slow_frames=3")
    parse("--slow_frames=3", "--frame_layout=slow_fast")
