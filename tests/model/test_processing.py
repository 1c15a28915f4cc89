"""What the files of a checkpoint say about pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from flipbook.errors import CheckpointError
from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.describe import describe
from flipbook.model.processing import ImageRule, read_image_rule
from flipbook.model.processor.folder import read_media_rule

COMMUNITY = {  # as the community's conversion has it
    "crop_size": {"height": 1024, "width": 1024},
    "do_center_crop": True,
    "do_normalize": True,
    "do_pad": False,
    "image_mean": [0.0, 0.0, 0.0],
    "image_std": [1.0, 1.0, 1.0],
    "size": {"shortest_edge": 1024},
}


def read(folder: Path, **content: Any) -> ImageRule:
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    return read_image_rule(folder)


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert read_image_rule(tmp_path) == ImageRule(None, None, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_the_communitys_file_crops(tmp_path: Path) -> None:
    assert read(tmp_path, **COMMUNITY) == ImageRule(frame_size=1024, aspect="crop")


@pytest.mark.parametrize("size", [512, {"height": 512, "width": 512}, {"shortest_edge": 512}])
def test_every_way_to_write_a_square_is_read(tmp_path: Path, size: object) -> None:
    assert read(tmp_path, do_pad=True, size=size) == ImageRule(frame_size=512, aspect="pad")
    assert read(tmp_path, size=size).aspect == "stretch"


def test_the_newer_file_nests_the_same(tmp_path: Path) -> None:
    nested = {"image_processor": COMMUNITY | {"image_mean": [0.1, 0.2, 0.3]}}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    assert read_image_rule(tmp_path).mean == (0.1, 0.2, 0.3)


def test_a_mean_that_is_not_used_is_not_read(tmp_path: Path) -> None:
    rule = read(tmp_path, do_normalize=False, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    assert (rule.mean, rule.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_a_size_that_is_no_square_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no square"):
        read(tmp_path, size={"height": 512, "width": 256})


def test_a_mean_that_is_no_triple_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="should be three numbers"):
        read(tmp_path, size=512, image_mean=[0.5])


def test_a_side_told_by_the_configuration_alone_is_the_same_for_all(
    fast_vlm_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bare"
    shutil.copytree(fast_vlm_folder, folder)
    for name in ("flipbook.json", "processor_config.json", "video_preprocessor_config.json"):
        (folder / name).unlink()
    described = describe(folder).settings
    assert described is not None
    sides = {load_checkpoint(folder).frame_size, described.frame_size}
    assert sides | {read_media_rule(folder).settings.frame_size} == {128}
