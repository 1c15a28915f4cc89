"""Is the ONNX program the same eyes, for any number of frames?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fixtures_model import make_checkpoint
from flipbook.errors import ArgumentError, CheckpointError
from flipbook.export import onnx
from flipbook.export.vision import Eyes, example_images
from flipbook.model.fastvlm import encode_frames
from flipbook.video.settings import ClipSettings

NEEDED = ("onnx", "onnxscript", "onnxruntime")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in NEEDED:
        pytest.importorskip(name)
    checkpoint = make_checkpoint()
    checkpoint.image_mean, checkpoint.image_std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    return onnx.write_onnx(tmp_path_factory.mktemp("onnx"), checkpoint)


def _session(path: Path) -> Any:
    return pytest.importorskip("onnxruntime").InferenceSession(path)


@pytest.mark.parametrize("num_frames", [1, 4, 7])
def test_features_equal_those_of_training(written: Path, num_frames: int) -> None:
    checkpoint = make_checkpoint()
    frames = torch.randint(0, 256, (num_frames, 3, 128, 128), dtype=torch.uint8)
    with torch.no_grad():
        ours = encode_frames(
            checkpoint.model, frames, image_mean=(0.5, 0.4, 0.3), image_std=(0.2, 0.3, 0.4)
        )
    images = (frames.float() / 255).numpy()
    (theirs,) = _session(written).run(None, {"images": images})
    assert theirs.shape == (num_frames, 4, 64)
    assert np.abs(theirs - ours.numpy()).max() < 1e-5 * float(ours.abs().max())


def test_the_file_names_no_folder_of_this_machine(written: Path) -> None:
    content = written.read_bytes()
    for folder in (Path(torch.__file__).parents[1], Path(onnx.__file__).parents[2]):
        assert str(folder).encode() not in content
    assert b"stack_trace" not in content


def test_the_file_tells_how_to_feed_it(written: Path) -> None:
    facts = _session(written).get_modelmeta().custom_metadata_map
    assert float(facts.pop("largest_difference")) < 1e-5
    assert facts == {
        "frame_size": "128",
        "aspect": "pad",
        "tokens_per_frame": "4",
        "sampler": "uniform",
        "num_frames": "4",
        "pixel_range": "0 to 1, RGB; mean and std are applied inside",
        "image_mean": "0.5 0.4 0.3",
        "image_std": "0.2 0.3 0.4",
    }
    assert ClipSettings.load(written.parent) == make_checkpoint().settings
    assert sorted(path.name for path in written.parent.iterdir()) == [
        "flipbook.json",
        "vision.onnx",
    ]


def test_another_model_is_told_apart(written: Path) -> None:
    images = example_images(make_checkpoint(), 2)
    stranger = make_checkpoint()
    with torch.no_grad():
        stranger.model.model.multi_modal_projector.linear_2.bias += 1.0
    module = onnx.Features(Eyes(stranger))
    assert onnx.compare_onnx(written, module, images) > 0.05


def test_half_precision_is_written_and_a_wrong_program_refused(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make_checkpoint()
    checkpoint.model.half()
    monkeypatch.setattr(onnx, "compare_onnx", lambda *_: 0.5)
    with pytest.raises(CheckpointError, match=r"vision\.onnx: the program differs from the model"):
        onnx.write_onnx(tmp_path, checkpoint)
    path = tmp_path / "vision.onnx"
    assert _weight_types(written) == {"FLOAT"}
    assert _weight_types(path) == {"FLOAT16"}
    images = example_images(checkpoint, 1)
    monkeypatch.undo()
    assert 0 < onnx.compare_onnx(path, onnx.Features(Eyes(checkpoint)), images) < 5e-3


def _weight_types(path: Path) -> set[str]:
    library = pytest.importorskip("onnx")
    weights = [w for w in library.load(path).graph.initializer if len(w.dims) > 1]
    return {library.TensorProto.DataType.Name(weight.data_type) for weight in weights}


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_package_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for needed in NEEDED:
        monkeypatch.setitem(sys.modules, needed, sys)  # stands for one that is there
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ArgumentError, match=rf"needs the package {name},.*pip install 'flipbook-vlm\[onnx\]'"
    ):
        onnx.write_onnx(tmp_path, make_checkpoint())
    assert not list(tmp_path.iterdir())
