"""A run that is stopped and goes on has the losses and weights of one that was not, bit by bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures_resume import GoOn, assert_same

pytestmark = pytest.mark.guarantee(2)


def _mixture(rows: Path, folder: Path) -> Path:
    """Clips half as often again, pictures half as often."""
    found = json.loads(rows.read_text())
    for key in ("video", "image"):
        (folder / f"{key}.json").write_text(json.dumps([row for row in found if key in row]))
    sets = [{"path": "video.json", "weight": 1.5}, {"path": "image.json", "weight": 0.5}]
    path = folder / "mixture.yaml"
    path.write_text(yaml.safe_dump({"datasets": sets}))
    return path


def test_with_dropout_at_the_end_of_an_epoch_with_workers_and_accumulation(go_on: GoOn) -> None:
    # 20 questions in 8 passes make 5 batches and 3 steps an epoch; workers live through it.
    settings: dict[str, Any] = {
        "lora_r": 2,
        "lora_dropout": 0.3,
        "learning_rate": 1e-2,
        "frame_sampler": "segments",
        "questions_per_pass": 2,
        "gradient_accumulation_steps": 2,
        "dataloader_num_workers": 1,
    }
    straight, resumed = go_on(step=3, **settings)
    assert_same(straight, resumed, after=3)


@pytest.mark.slow
def test_in_the_middle_of_an_epoch_with_packed_tokens_and_augmentation(go_on: GoOn) -> None:
    settings: dict[str, Any] = {
        "frame_sampler": "sparse",
        "augment": True,
        "max_batch_tokens": 160,
        "questions_per_pass": 4,
    }
    straight, resumed = go_on(step=2, **settings)
    assert_same(straight, resumed, after=2)


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 5], ids=["middle", "end"])
@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    "settings",
    [
        {"frame_sampler": "segments"},
        {"frame_sampler": "segments", "frame_features": "store", "feature_views": 2},
        {"frame_sampler": "sparse", "augment": True, "gradient_accumulation_steps": 3},
        {"lora_r": 2, "lora_dropout": 0.3, "questions_per_pass": 1, "validation": True},
        {"max_batch_tokens": 160, "mixture": True, "image_replay": 0.3, "lora_r": 2},
    ],
    ids=["random", "stored", "augmented", "dropout", "mixture"],
)
def test_all_together(
    go_on: GoOn,
    rows: Path,
    tmp_path: Path,
    settings: dict[str, Any],
    num_workers: int,
    step: int,
) -> None:
    flags = dict(settings)
    if flags.pop("mixture", False):
        flags["data_path"] = _mixture(rows, tmp_path)
    if flags.pop("validation", False):  # its workers begin anew in a run that goes on
        flags |= {"validation_data_path": rows, "eval_strategy": "steps", "eval_steps": 1}
    if "frame_features" in flags:
        flags["feature_store"] = tmp_path / "features"
    straight, resumed = go_on(step=step, dataloader_num_workers=num_workers, **flags)
    assert_same(straight, resumed, after=step)
