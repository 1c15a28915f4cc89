"""What a tuned model tells about its making: true, complete, and no folder of this machine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fixtures_data import Tune
from flipbook.data.generated.write import GeneratedData
from flipbook.model.provenance import Provenance
from flipbook.train import trainer
from flipbook.train.run import RunResult


def origin_of(result: RunResult, folder: str = "model") -> Provenance:
    origin = Provenance.load(result.run_folder / folder)
    assert origin is not None
    return origin


def test_full_tuning_tells_base_data_and_recipe(
    tune: Tune, fast_vlm_folder: Path, generated: GeneratedData
) -> None:
    result = tune(
        validation_data_path=generated.validation,
        gradient_accumulation_steps=2,
        projector_learning_rate=5e-4,
        max_steps=3,
        seed=7,
    )
    origin = origin_of(result)
    assert (origin.base, origin.base_layout, origin.lora) == ("fast_vlm", "fast_vlm", None)
    rows = json.loads(generated.train.read_text())
    train, validation = origin.data
    assert train == {
        "file": generated.train.name,
        "sha256": hashlib.sha256(generated.train.read_bytes()).hexdigest(),
        "num_records": len(rows),
        "split": "train",
    }
    assert (validation["file"], validation["split"]) == (generated.validation.name, "validation")
    recipe = origin.recipe
    assert recipe["optimizer_steps"] == recipe["saved_step"] == 3
    assert recipe["epochs"] == pytest.approx(3 / -(-len(rows) // 8), abs=1e-3)
    assert (recipe["effective_batch"], recipe["seed"], recipe["precision"]) == (8, 7, "float32")
    assert recipe["learning_rates"] == {"projector": 5e-4, "language_model": 1e-3}
    assert recipe["schedule"] == "cosine"
    assert recipe["num_train_records"] == len(rows)
    assert recipe["longest_tokens"] > 8
    assert set(origin.trained) == {"projector", "language_model"}
    assert "torch" in origin.versions


def test_adapters_and_parts_are_counted(tune: Tune) -> None:
    result = tune(lora_r=2, max_steps=1, train_parts="vision_tower language_model")
    origin = origin_of(result)
    assert origin == origin_of(result, "adapter")
    assert origin.lora == {"rank": 2.0, "alpha": 4.0, "dropout": 0.05}
    assert set(origin.trained) == {"vision_tower", "language_model"}
    # Two layers, seven matrices each: rank times (inputs + outputs).
    sizes = [(64, 64), (64, 32), (64, 32), (64, 64), (64, 128), (64, 128), (128, 64)]
    assert origin.trained["language_model"] == 2 * sum(2 * (i + o) for i, o in sizes)
    assert origin.recipe["learning_rates"] == {"vision_tower": 1e-4, "language_model": 1e-3}


def test_no_folder_of_this_machine_is_told(tune: Tune) -> None:
    result = tune(lora_r=2, max_steps=1)
    for path in (result.run_folder / "adapter" / "base.json", *result.run_folder.rglob("prov*")):
        assert "/tmp" not in path.read_text(), path  # noqa: S108
        assert str(result.run_folder) not in path.read_text(), path


def test_the_best_step_is_the_one_that_was_saved(tune: Tune, generated: GeneratedData) -> None:
    result = tune(
        validation_data_path=generated.validation,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=1,
        save_steps=1,
        max_steps=3,
        learning_rate=0.5,  # each step makes it worse
        warmup_steps=0,
    )
    recipe = origin_of(result).recipe
    assert recipe["optimizer_steps"] == 3
    losses = [
        line["eval_loss"]
        for line in map(json.loads, (result.run_folder / "log.jsonl").read_text().splitlines())
        if "eval_loss" in line
    ]
    assert recipe["saved_step"] == 1 + losses.index(min(losses))


def test_tuning_again_tells_of_the_second_run(tune: Tune, tmp_path: Path) -> None:
    first = tune(tmp_path / "first", max_steps=1)
    second = tune(tmp_path / "second", max_steps=2, model_name_or_path=first.run_folder)
    origin = origin_of(second)
    assert origin.base == "first"
    assert origin.recipe["optimizer_steps"] == 2


@pytest.mark.slow
def test_a_batch_that_had_to_shrink_is_told_as_it_was(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = trainer.supervised_loss

    def run_out_of_memory(model: Any, batch: dict[str, Any], **settings: Any) -> Any:
        if len(batch["record_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss(model, batch, **settings)

    monkeypatch.setattr(trainer, "supervised_loss", run_out_of_memory)
    result = tune(per_device_train_batch_size=8, auto_find_batch_size=True)
    assert origin_of(result).recipe["effective_batch"] == 2
