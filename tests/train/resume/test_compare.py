"""What a run is must be what it was, or a table says what is not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from flipbook.errors import ArgumentError, CheckpointError
from flipbook.train.arguments import DataArguments, ModelArguments, TrainingArguments
from flipbook.train.parsing import parse_arguments
from flipbook.train.resume import counted
from flipbook.train.resume.compare import changes_between, refusal, table_of, warning
from flipbook.train.resume.facts import FACTS_FILE, GROUPS, RunFacts, settings_of

pytestmark = pytest.mark.guarantee(2)
LISTS = ("HARMLESS", "OF_EVALUATION", "BY_CONTENT", "OF_BATCHES", "OF_MODEL")
KINDS = (ModelArguments, DataArguments, TrainingArguments)
CHECKPOINT = Path("run/checkpoint-4")


def _facts(**changed: dict[str, Any]) -> RunFacts:
    groups: dict[str, dict[str, Any]] = {
        "data": {"conversations": "a" * 32, "sha256 of r.json": "b" * 64},
        "model": {"start weights": "c" * 32, "train_parts": ["projector"]},
        "batches": {"seed": 1, "batches per epoch": 6},
        "processes": {
            "num_processes": 2,
            "gradient_accumulation_steps": 1,
            "packed_for_processes": 2,
            "packed_for_accumulation": 1,
        },
        "settings": {"learning_rate": 0.1, "max_steps": 8},
        "machine": {"torch": "2.0", "device": "cpu x86_64"},
    }
    return RunFacts(**{name: groups[name] | changed.get(name, {}) for name in GROUPS})


def _arguments(*words: str) -> Any:
    return parse_arguments(["--data_path=rows.json", "--use_cpu=true", *words])


def test_every_setting_is_on_one_list_or_compared() -> None:
    names = {field.name for kind in KINDS for field in dataclasses.fields(kind)}
    listed = [name for kind in LISTS for name in getattr(counted, kind)]
    assert len(listed) == len(set(listed))
    assert set(listed) <= names
    told = settings_of(_arguments())
    assert set(told) == names - counted.HARMLESS - counted.BY_CONTENT - counted.OF_EVALUATION
    assert json.loads(json.dumps(told)) == told
    # What is evaluated counts only where the learning rate follows it.
    follows = _arguments(
        "--lr_scheduler_type=reduce_lr_on_plateau",
        "--validation_data_path=rows.json",
        "--metric_for_best_model=loss",
    )
    assert set(settings_of(follows)) == set(told) | counted.OF_EVALUATION


def test_what_is_equal_goes_on() -> None:
    assert changes_between(_facts(), _facts()) == []
    assert refusal([], checkpoint=CHECKPOINT, changed_is_meant=False) is None
    assert warning([]) is None


def test_changed_settings_and_machines_are_refused_with_a_table_unless_they_are_meant() -> None:
    now = _facts(settings={"learning_rate": 0.2, "new_setting": None}, machine={"torch": "2.1"})
    changes = changes_between(_facts(), now)
    assert table_of(changes).splitlines() == [
        "                 in the checkpoint  now",
        "  learning_rate  0.1                0.2",
        "  new_setting    -                  null",
        "  torch          2.0                2.1",
    ]
    told = refusal(changes, checkpoint=CHECKPOINT, changed_is_meant=False)
    assert told is not None
    assert "checkpoint-4 cannot be gone on from" in told
    assert "Nothing was changed. Give what was given before, or --resume_changed true" in told
    assert refusal(changes, checkpoint=CHECKPOINT, changed_is_meant=True) is None
    assert "its losses are not those" in (warning(changes) or "")


@pytest.mark.parametrize(
    ("group", "change"),
    [
        ("data", {"conversations": "d" * 32}),
        ("model", {"start weights": "d" * 32}),
        ("model", {"train_parts": ["language_model"]}),
        ("batches", {"seed": 2}),
        ("batches", {"batches per epoch": 7}),
    ],
)
def test_other_data_models_and_batches_are_refused_under_any_flag(
    group: str, change: dict[str, Any]
) -> None:
    changes = changes_between(_facts(), _facts(**{group: change, "settings": {"max_steps": 9}}))
    told = refusal(changes, checkpoint=CHECKPOINT, changed_is_meant=True)
    assert told is not None
    assert next(iter(change)) in told
    assert "--resume_changed" not in told
    assert "begin a new run from its weights: --model_name_or_path run/checkpoint-4" in told


def test_other_processes_are_refused_with_the_flag_that_would_do() -> None:
    now = {"num_processes": 3, "packed_for_processes": 3}
    changes = changes_between(_facts(), _facts(processes=now, batches={"batches per epoch": 9}))
    assert [change.name for change in changes] == ["num_processes", "packed_for_processes"]
    told = refusal(changes, checkpoint=CHECKPOINT, changed_is_meant=True)
    assert "as many processes as before, or give --resume_remap true" in (told or "")
    changes = changes_between(_facts(), _facts(processes={"gradient_accumulation_steps": 7}))
    told = refusal(changes, checkpoint=CHECKPOINT, changed_is_meant=True)
    assert "Give what was given before, or begin" in (told or "")  # no flag would do


def test_a_checkpoint_without_facts_and_one_with_damaged_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="holds no run_facts.json, as checkpoints of older"):
        RunFacts.load(tmp_path)
    _facts().save(tmp_path)
    assert RunFacts.load(tmp_path) == _facts()
    path = tmp_path / FACTS_FILE
    whole = path.read_text()
    for text in (whole[:-9], whole.replace('"num_processes": 2', '"num_processes": "x"'), "[]"):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=r"run_facts\.json: cannot be read"):
            RunFacts.load(tmp_path)
    path.write_text(whole.replace('"format": 1', '"format": 2'))
    with pytest.raises(CheckpointError, match="is of format 2, and this flipbook reads 1"):
        RunFacts.load(tmp_path)
