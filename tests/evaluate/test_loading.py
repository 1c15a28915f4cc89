"""Is a model opened once, and asked with the frames that it knows?"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flipbook.evaluate.loading import name_of, open_model
from flipbook.model.checkpoint import Checkpoint
from flipbook.video.settings import ClipSettings


def test_a_model_in_memory_is_not_loaded_again(seeing_checkpoint: Checkpoint) -> None:
    assert open_model(seeing_checkpoint) is seeing_checkpoint
    assert name_of(seeing_checkpoint) is None


def test_a_folder_is_loaded_with_its_settings(fast_vlm_folder: Path) -> None:
    checkpoint = open_model(fast_vlm_folder)
    assert checkpoint.clip_settings == ClipSettings(frame_size=128, num_frames=4)
    assert name_of(fast_vlm_folder) == str(fast_vlm_folder)


def test_without_saved_settings_the_side_is_the_models_own(seeing_checkpoint: Checkpoint) -> None:
    unsaved = dataclasses.replace(seeing_checkpoint, settings=None, frame_size=512, aspect="crop")
    assert unsaved.clip_settings == ClipSettings(frame_size=512, aspect="crop")
