"""Do all files of a model say the same after a pick, and is what stood there before kept?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor

from flipbook.errors import ArgumentError, CheckpointError
from flipbook.evaluate.picked import folders_to_set, trained_with, write_pick
from flipbook.model.checkpoint import load_checkpoint
from flipbook.video.settings import ClipSettings

PICKED = ClipSettings(frame_size=256, num_frames=16)


@pytest.fixture
def model(fast_vlm_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fast_vlm_folder, tmp_path / "run" / "model"))


def settings_file(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "flipbook.json").read_text(encoding="utf-8"))
    return content


def test_every_reader_finds_the_pick(model: Path) -> None:
    checkpoint = load_checkpoint(model)
    before = checkpoint.clip_settings
    assert write_pick(model, checkpoint, PICKED) == {"num_frames": 4, "frame_size": 128}
    again = load_checkpoint(model)
    assert again.clip_settings == ClipSettings(
        **{**vars(before), "num_frames": 16, "frame_size": 256}
    )
    assert again.model.config.image_seq_length == 16
    size = AutoProcessor.from_pretrained(model).image_processor.size
    assert (size["height"], size["width"]) == (256, 256)
    assert trained_with(str(model), again) == before


def test_what_training_had_outlives_a_second_pick(model: Path) -> None:
    checkpoint = load_checkpoint(model)
    write_pick(model, checkpoint, PICKED)
    second = ClipSettings(frame_size=64, num_frames=2)
    assert write_pick(model, load_checkpoint(model), second) == {
        "num_frames": 16,
        "frame_size": 256,
    }
    assert settings_file(model)["before_sweep"] == {"num_frames": 4, "frame_size": 128}
    assert load_checkpoint(model).clip_settings.num_frames == 2


def test_a_pick_of_what_stands_there_leaves_the_files_as_they_are(model: Path) -> None:
    files = ("flipbook.json", "processor_config.json", "config.json")
    before = [json.loads((model / name).read_text(encoding="utf-8")) for name in files]
    checkpoint = load_checkpoint(model)
    write_pick(model, checkpoint, checkpoint.clip_settings)
    after = [json.loads((model / name).read_text(encoding="utf-8")) for name in files]
    assert after == before


def test_a_model_without_clip_settings_gets_some(model: Path) -> None:
    (model / "flipbook.json").unlink()
    checkpoint = load_checkpoint(model)
    assert trained_with(str(model), checkpoint) == checkpoint.clip_settings
    write_pick(model, checkpoint, PICKED)
    assert load_checkpoint(model).clip_settings.num_frames == 16
    assert settings_file(model)["before_sweep"] == {"num_frames": 8, "frame_size": 128}


def test_model_and_adapter_of_a_run_stay_in_step(model: Path) -> None:
    run = model.parent
    assert folders_to_set(str(run)) == [model]
    (run / "adapter").mkdir()
    shutil.copy(model / "flipbook.json", run / "adapter")
    (run / "adapter" / "adapter_config.json").write_text("{}", encoding="utf-8")
    for name in (run, model):
        assert folders_to_set(str(name)) == [model, run / "adapter"]
    for folder in folders_to_set(str(run)):
        write_pick(folder, load_checkpoint(model), PICKED)
    assert settings_file(model) == settings_file(run / "adapter")
    assert not (run / "adapter" / "config.json").exists()


def test_a_model_of_others_is_not_written_to(apple_folder: Path) -> None:
    for name in ("tiny", "nobody/nothing"):
        with pytest.raises(ArgumentError, match=f"--model {name} is no folder of yours.*none"):
            folders_to_set(name)
    with pytest.raises(ArgumentError, match=r"layout of Apple's code \(llava_qwen2\).*export it"):
        folders_to_set(str(apple_folder))


def test_damaged_words_about_before_are_named(model: Path) -> None:
    checkpoint = load_checkpoint(model)
    for damage in ([], {"frames": 3}, {"num_frames": "many"}):
        content = settings_file(model) | {"before_sweep": damage or 3}
        (model / "flipbook.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(
            CheckpointError, match='flipbook.json: what stands under "before_sweep"'
        ):
            trained_with(str(model), checkpoint)
