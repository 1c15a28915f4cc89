"""A run goes on as what it was, or is refused before anything is changed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from fixtures_data import SHORT_RUN, Tune
from fixtures_resume import ledger
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import ArgumentError
from flipbook.train.checkpoints.manifest import read_manifest, write_manifest
from flipbook.train.checkpoints.plain_state import load_state
from flipbook.train.parsing import parse_arguments
from flipbook.train.resume.going_on import GoingOn

pytestmark = pytest.mark.guarantee(2)

DRIVER = """
import json, sys
from pathlib import Path
from flipbook.__main__ import main
from flipbook.train.trainer import FlipbookTrainer

real = FlipbookTrainer.compute_loss

def noted(self, model, inputs, *args, **kwargs):
    if model.training and not inputs["is_filler"]:
        note = Path(self.args.output_dir) / f"notes-{self.args.process_index}.jsonl"
        with note.open("a") as file:
            file.write(json.dumps([self.state.global_step + 1, inputs["record_ids"]]) + "\\n")
    return real(self, model, inputs, *args, **kwargs)

FlipbookTrainer.compute_loss = noted
sys.exit(main())
"""


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_changed_run_is_refused_untouched_and_goes_on_where_that_is_meant(
    tune: Tune, rows: Path, generated: GeneratedData, tmp_path: Path
) -> None:
    flags: dict[str, Any] = {
        "data_path": rows,
        "image_folder": generated.folder,
        "save_strategy": "steps",
        "save_steps": 1,
        "max_steps": 2,
    }
    run = tune(**flags)
    before = _hashes(run.run_folder)
    again = flags | {"resume_from_checkpoint": "latest", "output_dir": run.run_folder}
    with pytest.raises(ArgumentError, match=r"learning_rate +0\.001 +0\.002\n.*--resume_changed"):
        tune(**again | {"learning_rate": 2e-3})
    meant = {"resume_changed": True, "learning_rate": 2e-3}
    with pytest.raises(ArgumentError, match=r"train_parts +\[.*\] +\[\"projector\"\]"):
        tune(**again | meant | {"train_parts": "projector"})
    found = json.loads(rows.read_text())
    (tmp_path / rows.name).write_text(json.dumps(found[:-1]))
    with pytest.raises(ArgumentError, match=r"sha256 of rows\.json +[0-9a-f]{12} +[0-9a-f]{12}\n"):
        tune(**again | meant | {"data_path": tmp_path / rows.name})
    with pytest.raises(ArgumentError, match=r"per_device_train_batch_size +4 +2\n"):
        tune(**again | meant | {"per_device_train_batch_size": 2})
    assert _hashes(run.run_folder) == before
    assert tune(**again | meant | {"max_steps": 3}).model_folder.is_dir()


@pytest.mark.guarantee(2)
@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_a_changed_run_takes_the_settings_that_it_is_given(
    tune: Tune, rows: Path, generated: GeneratedData, schedule: str
) -> None:
    flags: dict[str, Any] = {
        "data_path": rows,
        "image_folder": generated.folder,
        "save_strategy": "steps",
        "save_steps": 2,
        "max_steps": 4,
        "logging_steps": 1,
        "lr_scheduler_type": schedule,
        "warmup_steps": 0,
        "weight_decay": 0.1,
    }
    run = tune(**flags).run_folder
    first = _rates(run)
    changed = {"learning_rate": 2e-3, "weight_decay": 0.0, "resume_changed": True}
    tune(run, **flags | changed, resume_from_checkpoint=run / "checkpoint-2")
    assert _rates(run) == pytest.approx([*first[:2], *(2 * rate for rate in first[2:])])
    groups = load_state(run / "checkpoint-4", "optimizer")["param_groups"]
    assert {group["weight_decay"] for group in groups} == {0.0}


def _rates(run: Path) -> list[float]:
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [line["learning_rate"] for line in lines if "learning_rate" in line]


def test_flags_that_exclude_the_steps_of_before_are_refused(tmp_path: Path) -> None:
    facts: dict[str, Any] = {group: {} for group in ("data", "model", "batches", "settings")}
    names = ("num_processes", "gradient_accumulation_steps")
    more = ("packed_for_processes", "packed_for_accumulation")
    facts |= {"processes": dict(zip((*names, *more), (2, 3, 2, 3), strict=True))}
    (tmp_path / "run_facts.json").write_text(json.dumps({"format": 1, "machine": {}, **facts}))
    words = ["--data_path=rows.json", "--use_cpu=true", "--resume_remap=true"]
    with pytest.raises(ArgumentError, match="--auto_find_batch_size changes them"):
        GoingOn.begin(str(tmp_path), parse_arguments([*words, "--auto_find_batch_size=true"]))
    arguments = parse_arguments([*words, "--gradient_accumulation_steps=1"])
    GoingOn.begin(str(tmp_path), arguments)
    assert arguments.training.gradient_accumulation_steps == 6
    assert arguments.training.steps_accumulation == 3
    assert arguments.training.steps_processes == 2


class Launcher:
    """Starts runs on some processes, and tells what each step had."""

    def __init__(self, folder: Path, **flags: object) -> None:
        self.folder = folder
        self.flags = SHORT_RUN | flags
        (folder / "driver.py").write_text(DRIVER)

    def __call__(self, name: str, num_processes: int, **flags: object) -> str:
        words = [sys.executable]
        if num_processes > 1:
            words += ["-m", "torch.distributed.run", "--standalone"]
            words += [f"--nproc_per_node={num_processes}"]
        words += [str(self.folder / "driver.py"), "train"]
        settings = self.flags | {"output_dir": self.folder / name} | flags
        words += [f"--{key}={value}" for key, value in settings.items()]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stderr[-3000:]
        return " ".join(done.stdout.split())

    def go_on(self, name: str, origin: str, step: int, num_processes: int, **flags: object) -> str:
        checkpoint = self.folder / origin / f"checkpoint-{step}"
        return self(name, num_processes, resume_from_checkpoint=checkpoint, **flags)

    def steps(self, name: str) -> dict[int, list[str]]:
        found: dict[int, list[str]] = defaultdict(list)
        for path in (self.folder / name).glob("notes-*.jsonl"):
            for step, record_ids in map(json.loads, path.read_text().splitlines()):
                found[step] += record_ids
        return {step: sorted(ids) for step, ids in sorted(found.items())}

    def losses(self, name: str) -> dict[int, float]:
        lines = map(json.loads, (self.folder / name / "log.jsonl").read_text().splitlines())
        return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "accumulation", "now"), [(2, 1, 1), (1, 2, 2), (2, 1, 3)], ids=str
)
def test_other_processes_take_the_same_steps(
    fast_vlm_folder: Path,
    generated: GeneratedData,
    rows: Path,
    tmp_path: Path,
    before: int,
    accumulation: int,
    now: int,
) -> None:
    launch = Launcher(
        tmp_path,
        model_name_or_path=fast_vlm_folder,
        data_path=rows,
        image_folder=generated.folder,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=accumulation,
        questions_per_pass=2,
        frame_sampler="segments",
        save_strategy="steps",
        save_steps=2,
        save_total_limit=9,
        max_steps=-1,
        num_train_epochs=2,
    )
    launch("straight", before)
    told = launch.go_on("other", "straight", 2, now, resume_remap=True)
    assert f"Processes were {before}, are {now}." in told
    expected = launch.steps("straight")
    steps = launch.steps("other")
    assert steps == {step: ids for step, ids in expected.items() if step > 2}
    losses = {step: loss for step, loss in launch.losses("straight").items() if step > 2}
    assert launch.losses("other") == pytest.approx(losses, rel=1e-5)
    # Each record once in an epoch, over the steps of both; one of them has two conversations.
    per_epoch = len(expected) // 2
    ids = [row["id"] for row in json.loads(rows.read_text())]
    wanted = Counter(ids) + Counter(ids[-3:-2])
    for epoch in range(2):
        both = {step: expected[step] for step in (1, 2)} | steps
        seen = Counter(
            name
            for step, names in both.items()
            if (step - 1) // per_epoch == epoch
            for name in names
        )
        assert seen == wanted
    lines = ledger(tmp_path / "other")
    assert [(line["record_id"], line["trained"]) for line in lines] == [(name, 2) for name in ids]
    # And that run goes on by itself where it is now.
    launch.go_on("third", "other", 4, now)
    assert launch.losses("third") == {
        step: loss for step, loss in launch.losses("other").items() if step > 4
    }


@pytest.mark.slow
def test_other_processes_are_refused_without_the_flag(tune: Tune, tmp_path: Path) -> None:
    run = tune(save_strategy="steps", save_steps=1, max_steps=2)
    path = run.run_folder / "checkpoint-1" / "run_facts.json"
    facts = json.loads(path.read_text())
    facts["processes"] |= {"num_processes": 2, "packed_for_processes": 2}
    path.write_text(json.dumps(facts))
    known = read_manifest(path.parent)
    write_manifest(path.parent, step=1, run_id=known.run_id, num_processes=2, can_go_on=True)
    again: dict[str, Any] = {"resume_from_checkpoint": path.parent}
    with pytest.raises(ArgumentError, match=r"num_processes +2 +1\n.*\n.*give --resume_remap true"):
        tune(tmp_path / "other", save_strategy="steps", save_steps=1, max_steps=2, **again)
