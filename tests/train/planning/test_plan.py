"""A plan says what the run will do, the same with a model and with its shape alone."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fixtures_data import SHORT_RUN
from fixtures_model import make_checkpoint
from flipbook.data.batch import DataModule, make_supervised_data_module
from flipbook.data.generated.write import GeneratedData
from flipbook.train.arguments import Arguments
from flipbook.train.batches import BatchRules
from flipbook.train.parsing import parse_arguments
from flipbook.train.planning import plan as module
from flipbook.train.planning.choices import footprints_of
from flipbook.train.planning.facts import Plan, Wanted
from flipbook.train.planning.footprint import shape_model
from flipbook.train.planning.forecast import load_memory_model
from flipbook.train.planning.lengths import TooLong
from flipbook.train.planning.plan import make_plan, num_optimizer_steps, print_plan
from flipbook.train.planning.text import show_plan
from flipbook.train.start import lora_of, prepare_model

GB = 10**9


_KNOWN: dict[tuple[str, ...], Any] = {}


@pytest.fixture(autouse=True)
def footprints_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each footprint be found once: it takes a second, and no test changes it."""

    def find(config: Any, arguments: Arguments) -> Any:
        key = (config.to_json_string(), repr(arguments.model))
        if key not in _KNOWN:
            _KNOWN[key] = footprints_of(config, arguments)
        return _KNOWN[key]

    monkeypatch.setattr(module, "footprints_of", find)


class Run:
    """The parts of a run that a plan is made of."""

    def __init__(self, generated: GeneratedData, **flags: object) -> None:
        settings = SHORT_RUN | {"data_path": generated.train, "model_max_length": 500} | flags
        words = [f"--{name}={value}" for name, value in settings.items()]
        self.checkpoint = make_checkpoint()
        self.arguments: Arguments = parse_arguments(words)
        self.data: DataModule = make_supervised_data_module(
            self.checkpoint.tokenizer, self.arguments.data
        )
        self.batches = BatchRules.of(self.arguments.data).pack_training(
            self.data["train_dataset"],
            self.arguments.training,
            batch_size=self.arguments.training.train_batch_size,
        )

    def shape(self) -> Any:
        return shape_model(self.checkpoint.model.config, self.arguments)

    def plan(self, model: Any = None, **wanted: Any) -> Plan:
        return make_plan(
            model=model or self.shape(),
            data=self.data,
            batches=self.batches,
            arguments=self.arguments,
            wanted=Wanted(**{"memory_bytes": 100 * GB} | wanted),
        )

    def text(self, plan: Plan) -> str:
        shown = io.StringIO()
        show_plan(Console(file=shown, width=200, soft_wrap=True), plan, self.data)
        return shown.getvalue()


def test_a_model_and_its_shape_have_the_same_plan(generated: GeneratedData) -> None:
    run = Run(generated, lora_r=4)
    model = prepare_model(run.arguments, run.checkpoint, lora=lora_of(run.arguments.model))
    assert run.plan(model) == run.plan()


def test_samples_are_told_by_their_lengths(generated: GeneratedData) -> None:
    run = Run(generated)
    samples, tokens = run.plan().samples, run.data["train_dataset"].table.num_tokens
    assert (samples.min, samples.max) == (tokens.min(), tokens.max())
    assert (samples.median, samples.percentile_95) == (
        int(np.median(tokens)),
        int(np.percentile(tokens, 95)),
    )
    assert samples.longest_id == run.data["train_dataset"].check.longest_id
    assert sum(count for _, _, count in samples.bins) == samples.num_samples == len(tokens)
    for first, last, count in samples.bins:
        assert count == ((tokens >= first) & (tokens <= last)).sum()


def test_what_is_read_and_how_often_weights_change(generated: GeneratedData) -> None:
    run = Run(generated)
    passes = run.plan().passes
    assert passes.num_questions == len(run.data["train_dataset"])
    assert passes.num_tokens == run.batches.units.num_tokens.sum()
    assert passes.num_batches == len(run.batches)
    assert passes.num_steps == num_optimizer_steps(run.batches, run.arguments.training) == 2
    assert f"{passes.num_tokens:,} tokens" in run.text(run.plan())


def test_the_choice_of_the_run_is_among_the_choices(generated: GeneratedData) -> None:
    run = Run(generated, lora_r=4)
    plan = run.plan(num_frames=(4, 2), sides_px=(256,), batch_sizes=(1, 2))
    assert plan.own in plan.choices
    assert (plan.own.num_frames, plan.own.side_px, plan.own.batch_size) == (2, 128, 4)
    assert plan.own.longest_tokens == run.batches.longest_tokens
    assert len(plan.choices) == 2 * 2 * 3 * 2  # frames, sides, batches, ways of tuning
    assert [c.num_frames for c in plan.choices] == sorted(c.num_frames for c in plan.choices)
    best = plan.best["LoRA r=4"]
    assert best is not None
    assert (best.num_frames, best.side_px, best.batch_size) == (4, 256, 4)


def test_less_memory_leaves_smaller_choices(generated: GeneratedData) -> None:
    run = Run(generated)
    peaks = {choice.peak_bytes for choice in run.plan(num_frames=(8, 64)).choices}
    budget = int((min(peaks) + max(peaks)) / 2 / 0.85)
    some = run.plan(num_frames=(8, 64), memory_bytes=budget)
    fits = {choice.fits for choice in some.choices}
    assert {"kept", "no"} <= fits
    nothing = run.plan(memory_bytes=1000)
    assert set(nothing.best.values()) == {None}
    for choice in nothing.choices:
        assert choice.peak_bytes == min(choice.kept_bytes, choice.recomputed_bytes)
    assert "best with full: nothing in the table fits." in run.text(nothing)
    assert "which is over the budget" in run.text(nothing)


def test_a_budget_of_tokens_holds_for_a_batch(generated: GeneratedData) -> None:
    run = Run(generated)
    tokens = sorted({choice.longest_tokens for choice in run.plan().choices})
    best = run.plan(batch_tokens=tokens[-1] - 1).best["full"]
    assert best is not None
    assert best.longest_tokens == tokens[-2]


@pytest.mark.parametrize(("flag", "fits"), [("true", "recomputed"), ("false", "kept")])
def test_what_the_user_decided_is_not_weighed(
    generated: GeneratedData, flag: str, fits: str
) -> None:
    plan = Run(generated, activation_checkpointing=flag).plan()
    assert {choice.fits for choice in plan.choices} == {fits}
    assert all(getattr(choice, f"{fits}_bytes") == choice.peak_bytes for choice in plan.choices)


def test_batches_by_tokens_are_filled(generated: GeneratedData) -> None:
    run = Run(generated, max_batch_tokens=200)
    plan = run.plan(num_frames=(4,))
    assert {choice.batch_size for choice in plan.choices} == {None}
    assert plan.own.longest_tokens == run.batches.longest_tokens <= 200
    others = [choice for choice in plan.choices if choice.num_frames == 4]
    assert {choice.longest_tokens for choice in others} == {200}
    assert plan.budget.max_length == 200


@pytest.mark.parametrize(("sampler", "num_views"), [("uniform", 1), ("segments", 4)])
def test_features_take_what_the_store_writes(
    generated: GeneratedData, tmp_path: Path, sampler: str, num_views: int
) -> None:
    run = Run(generated, frame_sampler=sampler, frame_features="store", feature_store=tmp_path)
    features = run.plan().features
    assert features is not None
    table = run.data["train_dataset"].table
    _, firsts = np.unique(table.clips[table.head_tokens > 0], return_index=True)
    num_frames = int(table.num_frames[table.head_tokens > 0][firsts].sum())
    assert features.num_clips == len(firsts)
    assert features.num_bytes == num_views * num_frames * 4 * 128 * 4  # tokens, width, float32
    assert f"take about {features.num_bytes / 1e9:.2f} GB in {tmp_path}" in run.text(run.plan())


def test_a_tower_that_learns_has_no_features(generated: GeneratedData) -> None:
    run = Run(generated)
    model = run.checkpoint.model.requires_grad_(True)
    assert run.plan(model).features is None


def test_the_text_holds_every_part(generated: GeneratedData) -> None:
    run = Run(generated, lora_r=4)
    plan = run.plan()
    text = run.text(plan)
    for words in (
        "What trains",
        "A clip: 2 frames (uniform) of 128 px, 4 tokens each.",
        "Tokens of a sample",
        f"{plan.samples.max:,} at most (record {plan.samples.longest_id})",
        "The limit of a sample is 500 tokens; none is longer.",
        "training: ",
        "2 steps, ",
        "--frame_features store does so once",
        "Predicted peak memory of one process, GB",
        "LoRA r=4",
        "The budget: 85% of 100.00 GB of memory. Best is: most frames, then the largest side",
        "this run: 2 frames of 128 px, batches of 4, LoRA r=4: ",
        load_memory_model().told("cpu"),
    ):
        assert words in text


def test_samples_over_the_limit_are_named(generated: GeneratedData) -> None:
    run = Run(generated)
    plan = run.plan(max_length=60)
    text = run.text(plan)
    assert plan.too_long.count > 0
    assert f"{plan.too_long.count:,} samples are over the limit of 60 tokens:" in text
    name, budget = plan.too_long.first[0]
    assert f"- record {name}: {budget}" in text
    assert plan.own.num_too_long == plan.too_long.count
    many = dataclasses.replace(plan, too_long=TooLong(60, 1001, plan.too_long.first))
    assert f"- and {1001 - len(plan.too_long.first)} more" in run.text(many)


def test_a_gpu_is_told_to_be_unverified(generated: GeneratedData) -> None:
    plan = Run(generated).plan(device_type="cuda")
    assert plan.memory_model.endswith("; on CUDA shapes alone count, not yet verified.")


def test_training_prints_its_own_frames_and_side(generated: GeneratedData) -> None:
    run = Run(generated)
    shown = io.StringIO()
    plan = print_plan(
        Console(file=shown, width=200, soft_wrap=True),
        model=run.shape(),
        data=run.data,
        batches=run.batches,
        arguments=run.arguments,
    )
    assert {(c.num_frames, c.side_px) for c in plan.choices} == {(2, 128)}
    assert {c.batch_size for c in plan.choices} == {1, 2, 4, 8}
    assert "this run: " in shown.getvalue()
    assert plan.budget.memory_bytes > 0
