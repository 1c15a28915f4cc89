from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from fixtures_data import SHORT_RUN, Tune
from fixtures_faults import Fault, plant
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import ArgumentError, TrainingError
from flipbook.train.arguments import TrainingArguments
from flipbook.train.sound import steps
from flipbook.train.sound.faults import StepNotes, StepTotals, tell_parts, tell_step

pytestmark = pytest.mark.guarantee(5)
THREE_STEPS: dict[str, Any] = {
    "max_steps": 3,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "questions_per_pass": 1,
    "save_strategy": "steps",
    "save_steps": 1,
    "warmup_steps": 0,
}
FAULTS = [Fault("loss"), Fault("gradient", math.inf), Fault("label")]
FURTHER = [
    Fault("loss", math.inf, batch=2),
    Fault("weight"),
    Fault("feature"),
    Fault("frame", -math.inf),
]


@pytest.mark.parametrize(
    "fault",
    [*FAULTS, *(pytest.param(fault, marks=pytest.mark.slow) for fault in FURTHER)],
    ids=lambda fault: f"{fault.kind}-{fault.value}",
)
def test_a_step_with_a_fault_is_refused_before_the_optimizer(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    watched = plant(fault, monkeypatch.setattr)
    with pytest.raises(TrainingError) as refused:
        tune(**THREE_STEPS)
    told = str(refused.value)
    assert watched.state() == watched.before
    run = tmp_path / "run"
    assert [path.name for path in run.glob("checkpoint-*")] == ["checkpoint-1"]
    assert not (run / "model").exists()
    assert told.startswith("Step 2 is not taken: ")
    assert f"batch {fault.batch} of 2: {', '.join(watched.records)}" in told
    assert "No weight was changed by it and nothing of it was saved." in told
    (kept,) = refused.value.__notes__
    assert kept.startswith(f"Kept is {run / 'checkpoint-1'}, ")
    assert told.count("batch 1 of 2") + told.count("batch 2 of 2") == (
        2 if fault.kind in ("gradient", "weight") else 1
    )
    if fault.kind == "gradient":
        assert "Gradients that are not finite: language_model 1 of 26." in told
    if fault.kind == "weight":
        assert "not finite already: model.language_model.layers.0.mlp.down_proj.weight" in told
    noted = json.loads((run / "refused_step.json").read_text())
    assert noted["step"] == 2
    assert noted["batches"][fault.batch - 1]["records"] == watched.records


def test_a_weight_that_is_not_finite_is_not_saved(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = steps.SoundSteps._save_checkpoint

    def spoil_and_save(self: Any, model: Any, trial: Any) -> None:
        if self.state.global_step == 2:
            self.model.model.multi_modal_projector.linear_2.bias.data[3] = math.inf
        real(self, model, trial)

    monkeypatch.setattr(steps.SoundSteps, "_save_checkpoint", spoil_and_save)
    name = r"model\.multi_modal_projector\.linear_2\.bias"
    with pytest.raises(
        TrainingError, match=rf"not saved at step 2: .*: {name}\.(?s:.*)checkpoint-1, "
    ):
        tune(**THREE_STEPS)
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-1"]


def test_a_validation_loss_that_is_not_finite_names_its_records(
    tune: Tune, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flipbook.train import trainer

    real = trainer.supervised_loss
    torn: list[str] = []

    def broken(model: Any, batch: Any, **kwargs: Any) -> Any:
        result = real(model, batch, **kwargs)
        if model.training or torn:
            return result
        torn.extend(batch["record_ids"])
        return type(result)(result.loss * math.nan, result.num_targets)

    monkeypatch.setattr(trainer, "supervised_loss", broken)
    evaluated = {"eval_strategy": "steps", "eval_steps": 1, "per_device_eval_batch_size": 1}
    with pytest.raises(TrainingError, match="validation loss after step 1 is not finite") as told:
        tune(validation_data_path=generated.validation, **evaluated)
    assert f"Records: {', '.join(torn)}. Look at these" in str(told.value)


def test_a_step_of_nothing_but_a_filler_moves_no_weight(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AdamW alone would go on by its momentum, and weights would decay."""
    from flipbook.train.trainer import FlipbookTrainer

    watched = plant(Fault("none", step=3), monkeypatch.setattr)
    real = FlipbookTrainer.get_batch_samples

    def fill(self: Any, *args: Any, **kwargs: Any) -> Any:
        batches, num_items = real(self, *args, **kwargs)
        if self.state.global_step == 2:
            batches = [self._prepare_inputs(self.data_collator([self.train_dataset[(-1,)]]))]
            num_items = num_items * 0
        return batches, num_items

    monkeypatch.setattr(FlipbookTrainer, "get_batch_samples", fill)
    with pytest.raises(TrainingError, match="After step 3 4 conversations were not trained on"):
        tune(max_steps=3, warmup_steps=0, weight_decay=0.1)  # as the ledger finds out
    assert watched.place[1] == 3
    assert watched.state() == watched.before


def _scaled(num_skipped: int) -> Any:
    """A stand-in for a trainer whose scaler has skipped some steps in a row."""
    notes = StepNotes()
    batch = {"record_ids": ["a"], "num_targets": 3, "is_filler": False}
    notes.add(torch.tensor(1.0), batch)
    return SimpleNamespace(
        _notes=notes,
        _num_skipped=num_skipped,
        args=SimpleNamespace(device=torch.device("cpu"), process_index=0),
        state=SimpleNamespace(global_step=7),
        accelerator=SimpleNamespace(scaler=object(), reduce=lambda tensor, reduction: tensor),
        is_world_process_zero=lambda: True,
        _counts_too_many=lambda: steps.SoundSteps._counts_too_many(stand_in[0]),
        _tell_step=lambda *args: "refused",
    )


stand_in: list[Any] = []


def test_fp16_may_skip_some_steps_but_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    spoilt, sound = torch.tensor([1.0, math.inf]), torch.tensor([1.0, 2.0])
    decide = steps.SoundSteps._decide
    stand_in[:] = [_scaled(0)]
    for _ in range(steps.MOST_SKIPPED):
        decide(stand_in[0], ["a", "b"], spoilt)
    assert "Step 8 is skipped, and nothing learned of its records (a ...)" in caplog.text
    with pytest.raises(TrainingError, match="refused"):
        decide(stand_in[0], ["a", "b"], spoilt)
    stand_in[:] = [_scaled(steps.MOST_SKIPPED)]
    decide(stand_in[0], ["a", "b"], sound)
    decide(stand_in[0], ["a", "b"], spoilt)  # the count began anew
    batch = {"record_ids": ["b"], "num_targets": 3, "is_filler": False}
    stand_in[0]._notes.add(torch.tensor(math.nan), batch)
    with pytest.raises(TrainingError, match="refused"):
        decide(stand_in[0], ["a", "b"], spoilt)  # a loss is never skipped


def test_parts_are_counted_and_long_lists_cut() -> None:
    gradients = {"model.multi_modal_projector.linear_1.weight": False, "lm_head.weight": True}
    assert tell_parts(gradients) == "projector 1 of 1"
    assert tell_parts({"lm_head.weight": True}).startswith("none alone, but")
    names = [f"r{number}" for number in range(20)]
    fault = {"rank": 0, "batch": 1, "of_batches": 1, "is_bad": True, "records": names}
    told = tell_step(StepTotals(1, 0, 9, 0), [fault], {})
    assert "r0, r1, " in told
    assert "r11 and 8 more (see refused_step.json)" in told


def test_a_norm_that_overflows_counts_as_a_gradient() -> None:
    totals = StepNotes().totals(torch.tensor([3e38, 3e38]), device=torch.device("cpu"))
    assert totals.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("optim", ["lomo", "galore_adamw_layerwise"])
def test_optimizers_that_step_inside_the_backward_pass_are_refused(optim: str) -> None:
    with pytest.raises(ArgumentError, match="changes weights inside the backward pass"):
        TrainingArguments(optim=optim, use_cpu=True)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({"learning_rate": 0}, "--learning_rate 0: language_model would learn nothing"),
        ({"projector_learning_rate": 0}, "--projector_learning_rate 0: projector would learn"),
        ({"learning_rate": "inf"}, "--learning_rate is inf, which is no finite number"),
    ],
)
def test_a_rate_at_which_nothing_is_learned_is_refused(
    tune: Tune, flags: dict[str, Any], told: str
) -> None:
    with pytest.raises(ArgumentError, match=re.escape(told)):
        tune(train_parts="language_model projector", **flags)


def test_the_only_step_of_a_run_has_a_rate(tune: Tune) -> None:
    result = tune(max_steps=1)
    (line,) = [
        line
        for line in map(json.loads, (result.run_folder / "log.jsonl").read_text().splitlines())
        if "loss" in line
    ]
    assert line["learning_rate"] == SHORT_RUN["learning_rate"]


TWO_PROCESSES = [Fault("loss", rank=1), Fault("gradient", math.inf), Fault("label", rank=1)]


@pytest.mark.slow
@pytest.mark.parametrize("fault", TWO_PROCESSES, ids=lambda fault: f"{fault.kind}-{fault.rank}")
def test_two_processes_refuse_alike(
    tmp_path: Path, fast_vlm_folder: Path, generated: GeneratedData, fault: Fault
) -> None:
    words = SHORT_RUN | THREE_STEPS
    words |= {"model_name_or_path": fast_vlm_folder, "data_path": generated.train}
    words |= {"output_dir": tmp_path / "run", "per_device_train_batch_size": 1}
    facts = json.dumps(vars(fault))
    driver = str(Path(__file__).with_name("run_with_fault.py"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [driver, facts, str(tmp_path), "train", *(f"--{n}={v}" for n, v in words.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode != 0, done.stderr[-3000:]
    seen = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert all(one["code"] == TrainingError.exit_code for one in seen)
    assert all(one["weights_are_as_before"] for one in seen)
    told = "".join(one["told"] for one in seen)  # by the first that met it
    assert told.count("Step 2 is not taken: ") == 1
    records = ", ".join(seen[fault.rank]["records"])
    assert f"process {fault.rank}, batch 1 of 2: {records}" in told
    assert ("process 0" in told) is (fault.rank == 0)
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-1"]
