"""Is the Core ML program the same eyes? Its saved operations are done here one by one by torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from fixtures_model import make_checkpoint
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.export import coreml, mil
from flipbook.export.vision import Eyes, example_images
from flipbook.model.fastvlm import encode_frames
from flipbook.video.settings import ClipSettings


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("coremltools")
    return coreml.write_coreml(tmp_path_factory.mktemp("coreml"), make_checkpoint())


@pytest.fixture(scope="module")
def package(written: Path) -> Any:
    tools = pytest.importorskip("coremltools")
    return tools.models.MLModel(str(written), skip_model_load=True)


def test_features_equal_those_of_training(written: Path) -> None:
    frames = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8)
    with torch.no_grad():
        ours = encode_frames(make_checkpoint().model, frames)
    theirs = mil.run_program(written, images=frames.float() / 255)["features"]
    assert theirs.shape == ours.shape
    assert float((theirs - ours).abs().max()) < 1e-5 * float(ours.abs().max())


def test_both_outputs_are_compared(written: Path) -> None:
    checkpoint = make_checkpoint()
    images = example_images(checkpoint, 1)
    eyes = Eyes(checkpoint)
    assert coreml.compare_coreml(written, eyes, images) < 1e-5
    with torch.no_grad():
        eyes.projector.linear_2.bias += 1.0
    assert coreml.compare_coreml(written, eyes, images) > 0.05


def test_names_and_shapes_are_those_that_apples_app_asks_for(package: Any) -> None:
    description = package.get_spec().description
    shapes = {
        port.name: list(port.type.multiArrayType.shape)
        for port in (*description.input, *description.output)
    }
    assert shapes == {
        "images": [1, 3, 128, 128],
        "image_features": [1, 4, 128],
        "features": [1, 4, 64],
    }
    float32 = 65568  # FLOAT32 in Core ML's numbering
    assert {port.type.multiArrayType.dataType for port in description.output} == {float32}


def test_the_package_tells_how_to_feed_it(package: Any, written: Path) -> None:
    facts = package.user_defined_metadata
    assert (facts["frame_size"], facts["aspect"], facts["tokens_per_frame"]) == ("128", "pad", "4")
    assert ClipSettings.load(written.parent) == make_checkpoint().settings
    assert written.name == "fastvithd.mlpackage"


def test_half_precision_is_written_and_a_wrong_program_refused(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.half()
    monkeypatch.setattr(coreml, "compare_coreml", lambda *_: 0.5)
    with pytest.raises(CheckpointError, match=r"mlpackage: the program differs from the model by"):
        coreml.write_coreml(tmp_path, checkpoint)
    path = tmp_path / "fastvithd.mlpackage"
    assert _size(path) < 0.7 * _size(written)
    monkeypatch.undo()
    images = example_images(checkpoint, 1)
    assert 0 < coreml.compare_coreml(path, Eyes(checkpoint), images) < 5e-3


def test_an_unknown_operation_is_named(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(mil.OPERATIONS, "softmax")
    with pytest.raises(CheckpointError, match="cannot compute the operation 'softmax'"):
        mil.run_program(written, images=example_images(make_checkpoint(), 1))


def test_rules_that_would_give_other_numbers_are_refused() -> None:
    with pytest.raises(CheckpointError, match="a convolution pads by the rule 'same'"):
        mil.OPERATIONS["conv"]({"pad_type": "same"})
    with pytest.raises(CheckpointError, match="a GELU is computed by the rule 'SIGMOID_APPROX'"):
        mil.OPERATIONS["gelu"]({"mode": "SIGMOID_APPROX"})


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(
        ArgumentError, match=r"needs the package coremltools,.*pip install 'flipbook-vlm\[coreml\]'"
    ):
        coreml.write_coreml(tmp_path, make_checkpoint())
    assert not list(tmp_path.iterdir())


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
