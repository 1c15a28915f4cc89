"""The adapter that tests of this folder share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flipbook.model.adapters.saving import save_adapter
from flipbook.model.adapters.trained_on import describe_base
from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.tuning import LoraSettings, choose_trainable


@pytest.fixture
def lost_adapter(fast_vlm_folder: Path, tmp_path: Path) -> Path:
    """An adapter as it is exported: it names its base without the folder that holds it."""
    checkpoint = load_checkpoint(fast_vlm_folder)
    base = describe_base(checkpoint)
    lora = LoraSettings(rank=2, alpha=4)
    tuned = choose_trainable(checkpoint.model, ["language_model"], lora=lora)
    folder = tmp_path / "adapter"
    save_adapter(folder, checkpoint, tuned=tuned, base=base)
    config_path = folder / "adapter_config.json"
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = "lost"
    config_path.write_text(json.dumps(config), encoding="utf-8")
    return folder
