"""What do the programs of other formats start from?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from fixtures_model import make_checkpoint
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.export.vision import (
    Eyes,
    describe_input,
    example_images,
    export_dtype,
    need_package,
    refuse_difference,
)


def test_eyes_see_what_the_model_sees() -> None:
    checkpoint = make_checkpoint()
    images = example_images(checkpoint, 2)
    with torch.no_grad():
        seen = checkpoint.model.model.vision_tower(images).last_hidden_state  # (F, C, h, w)
        features = checkpoint.model.get_image_features(pixel_values=images).pooler_output
        image_features, ours = Eyes(checkpoint)(images)
    assert torch.equal(image_features, seen.flatten(2).mT)
    assert torch.equal(ours, torch.stack(list(features)))


def test_the_model_itself_is_left_alone() -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.to(torch.bfloat16).train()
    eyes = Eyes(checkpoint, dtype=export_dtype(checkpoint))
    assert next(eyes.parameters()).dtype == torch.float32
    assert next(checkpoint.model.parameters()).dtype == torch.bfloat16
    assert checkpoint.model.model.vision_tower.training
    assert not any(module.training for module in eyes.modules())
    assert not any(weight.requires_grad for weight in eyes.parameters())


def test_mean_and_std_are_part_of_what_is_told() -> None:
    facts = describe_input(make_checkpoint(aspect="crop", sampler="segments"))
    assert (facts["aspect"], facts["sampler"]) == ("crop", "segments")
    assert (facts["image_mean"], facts["image_std"]) == ("0.0 0.0 0.0", "1.0 1.0 1.0")


@pytest.mark.parametrize("difference", [3e-4, float("nan")])
def test_a_program_that_computes_something_else_is_refused(difference: float) -> None:
    refuse_difference(Path("a.onnx"), 9e-5, dtype=torch.float32)
    with pytest.raises(
        CheckpointError, match=r"a\.onnx: the program differs from the model by (3\.0e-04|nan) of"
    ):
        refuse_difference(Path("a.onnx"), difference, dtype=torch.float32)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert need_package("sys", extra="none") is sys
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ArgumentError, match=r"needs the package onnx,.*'flipbook-vlm\[extra\]'"):
        need_package("onnx", extra="extra")
