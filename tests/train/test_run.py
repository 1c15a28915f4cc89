from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from fixtures_data import Tune
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import (
    ArgumentError,
    CheckpointError,
    MediaError,
    StorageError,
    TrainingError,
)
from flipbook.model.checkpoint import load_checkpoint
from flipbook.train.run import RunResult


def _log(run_folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]


def _losses(result: RunResult) -> list[float]:
    return [line["loss"] for line in _log(result.run_folder) if "loss" in line]


def _straight_and_resumed(
    tune: Tune, folder: Path, *, step: int, **settings: Any
) -> tuple[RunResult, RunResult]:
    """Return a run, and another that goes on from the first one's checkpoint of a step."""
    straight = tune(folder / "straight", **settings)
    (folder / "stopped").mkdir()
    name = f"checkpoint-{step}"
    (straight.run_folder / name).rename(folder / "stopped" / name)
    return straight, tune(folder / "stopped", resume_from_checkpoint="latest", **settings)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_run_leaves_a_model_that_plain_transformers_loads(
    tune: Tune, fast_vlm_folder: Path
) -> None:
    result = tune()
    names = {path.name for path in result.run_folder.iterdir()}
    assert {"config.yaml", "environment.json", "log.jsonl", "model"} <= names
    plain, report = AutoModelForImageTextToText.from_pretrained(
        result.model_folder, output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert plain.dtype == torch.float32
    ours = load_checkpoint(result.model_folder)
    assert ours.settings is not None
    assert ours.settings.num_frames == 2


def test_a_frozen_tower_is_byte_identical_afterwards(tune: Tune, fast_vlm_folder: Path) -> None:
    before, after = _weights(fast_vlm_folder), _weights(tune().model_folder)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not {name for name in changed if "vision_tower" in name}
    assert {name for name in changed if "multi_modal_projector" in name}
    assert {name for name in changed if "language_model" in name}


def test_a_trained_tower_moves_and_its_statistics_do_not(tune: Tune, fast_vlm_folder: Path) -> None:
    result = tune(train_parts="vision_tower", vision_tower_learning_rate=1e-3)
    before, after = _weights(fast_vlm_folder), _weights(result.model_folder)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("vision_tower" in name for name in changed)
    assert not [name for name in changed if "running_" in name]


def test_two_runs_with_one_seed_have_the_same_losses(tune: Tune, tmp_path: Path) -> None:
    first = tune(tmp_path / "a", max_steps=3, frame_sampler="segments")
    second = tune(tmp_path / "b", max_steps=3, frame_sampler="segments")
    other = tune(tmp_path / "c", max_steps=3, frame_sampler="segments", seed=5)
    assert _losses(first) == _losses(second)
    assert _losses(first) != _losses(other)


def test_workers_change_nothing(tune: Tune, tmp_path: Path) -> None:
    none = tune(tmp_path / "none", frame_sampler="segments", num_train_epochs=2, max_steps=-1)
    two = tune(
        tmp_path / "two",
        frame_sampler="segments",
        num_train_epochs=2,
        max_steps=-1,
        dataloader_num_workers=2,
    )
    assert _losses(none) == _losses(two)


def test_accumulation_equals_a_larger_batch(tune: Tune, tmp_path: Path) -> None:
    # One question a pass: of two about one clip the smaller batch could not take both.
    settings: dict[str, Any] = {"questions_per_pass": 1, "max_steps": 3}
    large = tune(tmp_path / "large", per_device_train_batch_size=4, **settings)
    small = tune(
        tmp_path / "small",
        per_device_train_batch_size=1,
        gradient_accumulation_steps=4,
        **settings,
    )
    assert _losses(small) == pytest.approx(_losses(large), rel=1e-4)


def test_a_resumed_run_is_the_run_that_was_not_stopped(tune: Tune, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "frame_sampler": "segments",
        "max_steps": 6,
        "save_strategy": "steps",
        "save_steps": 4,
    }
    straight, resumed = _straight_and_resumed(tune, tmp_path, step=4, **settings)
    assert _losses(resumed) == _losses(straight)[4:]
    before, after = _weights(straight.model_folder), _weights(resumed.model_folder)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_folder_with_a_run_in_it_is_not_written_over(tune: Tune) -> None:
    tune(max_steps=1)
    with pytest.raises(ArgumentError, match="already holds a run.*--resume_from_checkpoint latest"):
        tune(max_steps=1)
    with pytest.raises(ArgumentError, match="there is no such folder"):
        tune(max_steps=1, resume_from_checkpoint="nowhere")


def test_lora_leaves_adapters_and_a_merged_model(tune: Tune, fast_vlm_folder: Path) -> None:
    result = tune(lora_r=2, learning_rate=1e-2)
    assert (result.run_folder / "adapter" / "adapter_model.safetensors").is_file()
    before, after = _weights(fast_vlm_folder), _weights(result.model_folder)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name for name in changed if "multi_modal_projector" in name}
    assert {name for name in changed if "q_proj" in name}
    assert not {name for name in changed if "vision_tower" in name or "embed_tokens" in name}
    (result.run_folder / "new").touch()  # others may read the weights as they may any new file
    names = ("new", "adapter/adapter_model.safetensors", "model/model.safetensors")
    assert len({(result.run_folder / name).stat().st_mode for name in names}) == 1


RELOAD = """
import sys, torch
from flipbook.model.checkpoint import load_checkpoint
before = torch.load(sys.argv[2])
for merge, tolerance in ((False, 0), (True, 1e-5)):
    model = load_checkpoint(sys.argv[1], merge=merge).model
    with torch.no_grad():
        logits = model(input_ids=before["ids"], pixel_values=before["pixels"]).logits
    assert torch.allclose(logits, before["logits"], rtol=0, atol=tolerance), merge
    assert torch.equal(logits, before["logits"]) is not merge
print("equal")
"""


@pytest.mark.parametrize(
    "apart", [{}, {"train_batch_norm": True, "vision_tower_learning_rate": 1e-2}]
)
def test_an_adapter_in_a_clean_process_gives_the_logits_of_the_trained_model(
    tune: Tune,
    tmp_path: Path,
    fast_vlm_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    apart: dict[str, Any],
) -> None:
    from flipbook.train import run

    ids = torch.tensor([[260] * 8 + [70, 71, 72]])
    pixels = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    save_run = run.save_run

    def save_and_note(trainer: Any, *args: Any, **kwargs: Any) -> Path:
        with torch.no_grad():
            logits = trainer.model.eval()(input_ids=ids, pixel_values=pixels).logits
        torch.save({"ids": ids, "pixels": pixels, "logits": logits}, tmp_path / "before.pt")
        return save_run(trainer, *args, **kwargs)

    monkeypatch.setattr(run, "save_run", save_and_note)
    parts = "vision_tower projector language_model" if apart else "projector language_model"
    result = tune(lora_r=2, learning_rate=1e-2, max_steps=3, train_parts=parts, **apart)
    adapter = result.run_folder / "adapter"
    words = [sys.executable, "-c", RELOAD, str(adapter), str(tmp_path / "before.pt")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "equal\n", done.stderr[-3000:]
    base = load_file(fast_vlm_folder / "model.safetensors")
    stored = load_file(adapter / "adapter_model.safetensors")
    moved = [n for n, t in stored.items() if "running_mean" in n and not _is_in(base, n, t)]
    assert bool(moved) is bool(apart)


def _is_in(base: dict[str, torch.Tensor], name: str, tensor: torch.Tensor) -> bool:
    return torch.equal(base[name.removeprefix("base_model.model.")], tensor)


def test_a_run_that_kept_only_its_adapter_can_be_asked(tune: Tune) -> None:
    result = tune(lora_r=2, learning_rate=1e-2)
    whole = load_checkpoint(result.run_folder)
    assert whole.source == str(result.model_folder)
    shutil.rmtree(result.model_folder)
    merged = load_checkpoint(result.run_folder)
    assert merged.source == str(result.run_folder / "adapter")
    assert merged.settings == whole.settings
    assert merged.provenance == whole.provenance
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(merged.model.state_dict()[name], tensor), name
    with pytest.raises(ArgumentError, match="already holds a run"):
        tune(lora_r=2)


def test_an_adapter_on_the_way_is_held_to_its_base(
    tune: Tune, caplog: pytest.LogCaptureFixture
) -> None:
    result = tune(lora_r=2, save_strategy="steps", save_steps=1)
    on_the_way = load_checkpoint(result.run_folder / "checkpoint-2")
    assert on_the_way.settings is not None
    assert on_the_way.settings.num_frames == 2
    assert "nothing tells" not in caplog.text
    with pytest.raises(CheckpointError, match="trained on fast_vlm"):
        load_checkpoint(result.run_folder / "checkpoint-2", base="tiny")


def test_a_stopped_save_leaves_no_half_adapter(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flipbook.train import finish

    def stop(staged: Path, *args: Any, **kwargs: Any) -> None:
        staged.mkdir()
        (staged / "adapter_config.json").touch()
        raise OSError("No space left on device")

    monkeypatch.setattr(finish, "save_adapter", stop)
    with pytest.raises(StorageError, match="adapter/ could not be written.*No space left"):
        tune(lora_r=2, max_steps=1)
    assert not (tmp_path / "run" / "adapter").exists()


def test_adapters_name_their_base_so_nobody_asks_the_hub(tune: Tune, apple_folder: Path) -> None:
    result = tune(model_name_or_path=apple_folder, lora_r=2, max_steps=1)
    config = json.loads((result.run_folder / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(apple_folder)


def test_the_loss_falls_on_a_few_records(tune: Tune) -> None:
    losses = _losses(tune(max_steps=25, learning_rate=5e-3, per_device_train_batch_size=8))
    assert losses[-1] < 0.5 * losses[0]


def test_evaluation_tells_loss_and_accuracy_in_words(tune: Tune, generated: GeneratedData) -> None:
    result = tune(
        validation_data_path=generated.validation,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        eval_num_answers=4,
        max_new_tokens=3,
    )
    lines = _log(result.run_folder)
    evaluations = [line for line in lines if "eval_loss" in line]
    assert len(evaluations) == 2
    assert all(0 <= line["eval_accuracy"] <= 1 for line in evaluations)
    trained = [line for line in lines if "loss" in line]
    assert all(line["samples_per_s"] > 0 and line["tokens_per_s"] > 0 for line in trained)


def test_a_loss_that_is_not_finite_stops_before_the_weights(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flipbook.train import trainer

    real = trainer.supervised_loss

    def broken(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        return type(result)(result.loss * float("nan"), result.num_targets)

    monkeypatch.setattr(trainer, "supervised_loss", broken)
    with pytest.raises(
        TrainingError, match=r"Step 1 is not taken: the loss is not finite.*Records"
    ):
        tune()


def test_a_gradient_that_is_not_finite_stops_too(tune: Tune) -> None:
    with pytest.raises(TrainingError, match="not finite"):
        tune(max_steps=40, learning_rate=1e30, max_grad_norm=0)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_broken_video_stops_the_run_with_its_name(
    tune: Tune, tmp_path: Path, num_workers: int
) -> None:
    (tmp_path / "torn.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(5000))
    turns = [{"from": "human", "value": "<video>\nWhat?"}, {"from": "gpt", "value": "That."}]
    row = {"id": "r", "video": "torn.mp4", "conversations": turns}
    (tmp_path / "rows.json").write_text(json.dumps([row]))
    with pytest.raises(MediaError, match=r"torn\.mp4"):
        tune(data_path=tmp_path / "rows.json", dataloader_num_workers=num_workers)


def test_a_text_only_run_trains(tune: Tune, tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Say this."}, {"from": "gpt", "value": "That."}]
    (tmp_path / "t.json").write_text(json.dumps([{"id": "t", "conversations": turns}]))
    losses = _losses(tune(data_path=tmp_path / "t.json", max_steps=3))
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_two_processes_with_text_on_one_and_clips_on_the_other(
    tmp_path: Path, fast_vlm_folder: Path, generated: GeneratedData
) -> None:
    rows = json.loads(generated.train.read_text())[:2]
    turns = [{"from": "human", "value": "Say this."}, {"from": "gpt", "value": "That."}]
    texts = [{"id": f"t{i}", "conversations": turns} for i in range(2)]
    manifest = generated.folder / "half_text.json"
    manifest.write_text(json.dumps([rows[0], texts[0], rows[1], texts[1]]))
    words = {
        "model_name_or_path": fast_vlm_folder,
        "data_path": manifest,
        "output_dir": tmp_path / "run",
        "num_video_frames": 2,
        "frame_size": 128,
        "per_device_train_batch_size": 1,
        "max_steps": 4,
        "logging_steps": 1,
        "dataloader_num_workers": 0,
        "save_strategy": "steps",
        "save_steps": 2,
        "lora_r": 2,
        "use_cpu": True,
        "report_to": "none",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "flipbook", "train", *(f"--{name}={value}" for name, value in words.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert load_checkpoint(tmp_path / "run" / "checkpoint-2").settings is not None
    merged = load_checkpoint(tmp_path / "run" / "adapter").model.state_dict()
    for name, tensor in _weights(tmp_path / "run" / "model").items():
        assert torch.equal(merged[name], tensor), name
    assert len([line for line in _log(tmp_path / "run") if "loss" in line]) == 4


def test_the_saved_precision_is_the_one_asked_for(tune: Tune) -> None:
    result = tune(max_steps=1, save_dtype="bfloat16")
    dtypes = {t.dtype for t in _weights(result.model_folder).values() if t.is_floating_point()}
    assert dtypes == {torch.bfloat16}
    plain = AutoModelForImageTextToText.from_pretrained(result.model_folder)
    assert all(p.isfinite().all() for p in plain.parameters())


def test_curves_lie_in_the_run_folder(tune: Tune) -> None:
    result = tune(report_to="tensorboard")
    assert list((result.run_folder / "tensorboard").glob("events.*"))


def test_a_run_of_no_steps_is_refused(tune: Tune) -> None:
    with pytest.raises(ArgumentError, match="no step"):
        tune(max_steps=-1, num_train_epochs=0)


def test_a_folder_that_cannot_be_written_is_said_before_training(
    tune: Tune, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written to"):
        tune(tmp_path / "file" / "run")


@pytest.mark.parametrize("lora_r", [0, 2])
def test_bfloat16_autocast_trains_float32_weights(tune: Tune, lora_r: int) -> None:
    result = tune(bf16=True, lora_r=lora_r, max_steps=8, learning_rate=1e-2)
    losses = _losses(result)
    assert losses[-1] < losses[0]
    dtypes = {t.dtype for t in _weights(result.model_folder).values() if t.is_floating_point()}
    assert dtypes == {torch.bfloat16}


def test_frozen_weights_may_stay_float32_under_bfloat16(tune: Tune) -> None:
    losses = _losses(tune(bf16=True, frozen_dtype="float32", max_steps=8, learning_rate=1e-2))
    assert losses[-1] < losses[0]


def test_activation_checkpointing_changes_no_loss(tune: Tune, tmp_path: Path) -> None:
    parts = {"train_parts": "vision_tower projector language_model", "max_steps": 3}
    plain = tune(tmp_path / "plain", **parts)
    saved = tune(tmp_path / "saved", activation_checkpointing=True, **parts)
    assert _losses(saved) == pytest.approx(_losses(plain), rel=1e-5)


def test_lora_resumes_and_takes_the_best(
    tune: Tune, tmp_path: Path, generated: GeneratedData
) -> None:
    settings: dict[str, Any] = {
        "lora_r": 2,
        "learning_rate": 1e-2,
        "max_steps": 4,
        "validation_data_path": generated.validation,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    straight, resumed = _straight_and_resumed(tune, tmp_path, step=2, **settings)
    assert _losses(resumed) == _losses(straight)[2:]


def test_a_checkpoint_on_the_way_can_be_asked(tune: Tune) -> None:
    result = tune(max_steps=2, save_strategy="steps", save_steps=1)
    checkpoint = load_checkpoint(result.run_folder / "checkpoint-2")
    assert checkpoint.settings is not None
    assert checkpoint.settings.num_frames == 2


def test_frames_that_repeat_are_counted_in_the_log(tune: Tune, generated: GeneratedData) -> None:
    clips = tune(data_path=generated.validation, num_video_frames=24, max_steps=1)
    (line,) = [line for line in _log(clips.run_folder) if "loss" in line]
    assert line["repeated_frames"] == 3 * 2  # four questions about three clips of 22 frames
