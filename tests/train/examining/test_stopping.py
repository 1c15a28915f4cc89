from __future__ import annotations

import io
import json
import math
import operator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from transformers import TrainerControl, TrainerState

from fixtures_data import Tune
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import ArgumentError
from flipbook.model.checkpoint import load_checkpoint
from flipbook.train.arguments import TrainingArguments
from flipbook.train.examining.stopping import StoppingCallback, check_metric, is_higher_better
from flipbook.train.parsing import parse_arguments

DATA = ["--data_path", "rows.json", "--use_cpu=true"]
BOTH = [*DATA, "--validation_data_path", "v.json"]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("loss", False),
        ("eval_loss", False),
        ("eval_count_absolute_error", False),
        ("when_unparsed", False),
        ("eval_score", True),
        ("accuracy", True),
        ("eval_open_token_f1", True),
    ],
)
def test_what_is_better_follows_from_the_name(metric: str, expected: bool) -> None:
    assert is_higher_better(metric) is expected
    training = parse_arguments([*BOTH, f"--metric_for_best_model={metric}"]).training
    assert training.greater_is_better is expected


def test_the_user_may_know_better() -> None:
    words = [*BOTH, "--metric_for_best_model=accuracy", "--greater_is_better=false"]
    assert parse_arguments(words).training.greater_is_better is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*BOTH, "--early_stopping_patience=0"], "patience is 0: give a whole number from 1"),
        (
            [*BOTH, "--early_stopping_patience=1", "--early_stopping_threshold=-1"],
            r"threshold is -1\.0: give a number of 0 or more",
        ),
        ([*BOTH, "--early_stopping_threshold=0.1"], r"0\.1 says what a gain is.*Give that too"),
        ([*DATA, "--early_stopping_patience=1"], "patience needs evaluations.*--validation_data"),
        ([*DATA, "--metric_for_best_model=score"], "best_model needs evaluations"),
        (
            [*BOTH, "--early_stopping_patience=1", "--save_strategy=no"],
            "needs the best checkpoint to be kept. Set --save_strategy",
        ),
        (
            [*BOTH, "--eval_num_answers=0", "--follow_num_answers=2"],
            "follow_num_answers 2 follows.*eval_num_answers is 0",
        ),
        ([*BOTH, "--follow_num_answers=-1"], "--follow_num_answers is -1: give"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        parse_arguments(words)


def _arguments(metric: str, *, num_answers: int = 4) -> TrainingArguments:
    words = [f"--metric_for_best_model={metric}", f"--eval_num_answers={num_answers}"]
    return parse_arguments([*BOTH, *words]).training


@pytest.mark.parametrize("metric", ["loss", "eval_loss", "score", "eval_open_token_f1"])
def test_a_measure_of_the_run_is_accepted_with_and_without_prefix(metric: str) -> None:
    check_metric(_arguments(metric), ["accuracy", "score", "open_token_f1"])


def test_an_unknown_measure_is_refused_with_those_there_are() -> None:
    with pytest.raises(ArgumentError) as caught:
        check_metric(_arguments("token_f1"), ["score", "open_token_f1"])
    assert str(caught.value) == (
        "--metric_for_best_model token_f1: this run does not measure that. Did you mean "
        "'eval_open_token_f1'? It measures eval_loss, eval_score, eval_open_token_f1."
    )
    with pytest.raises(ArgumentError, match=r"asks no questions, since --eval_num_answers is 0"):
        check_metric(_arguments("score", num_answers=0), [])


class _Run:
    """Evaluates as the library does: callback first, best value then."""

    def __init__(self, callback: StoppingCallback, *, greater: bool) -> None:
        self.callback = callback
        self.args: Any = SimpleNamespace(
            metric_for_best_model="eval_x", greater_is_better=greater, eval_strategy="steps"
        )
        self.state = TrainerState(max_steps=100)
        self.control = TrainerControl()
        callback.on_train_begin(self.args, self.state, self.control)

    def evaluate(self, value: float | None) -> bool:
        """Return whether the run is told to stop."""
        self.state.global_step += 1
        metrics = {"eval_loss": 0.5} | ({} if value is None else {"eval_x": value})
        self.state.log_history.append({**metrics, "step": self.state.global_step})
        self.callback.on_evaluate(self.args, self.state, self.control, metrics=metrics)
        is_better, worst = (operator.lt, math.inf)
        if self.args.greater_is_better:
            is_better, worst = (operator.gt, -math.inf)
        best = worst if self.state.best_metric is None else self.state.best_metric
        self.state.best_metric = best
        if is_better(metrics["eval_x"], best):
            self.state.best_metric = metrics["eval_x"]
            self.state.best_global_step = self.state.global_step
        return bool(self.control.should_training_stop)


def test_a_run_stops_after_evaluations_without_gain() -> None:
    run = _Run(StoppingCallback(2), greater=True)
    assert [run.evaluate(v) for v in (0.1, 0.3, 0.2, 0.4, 0.4, 0.1)] == [False] * 5 + [True]
    assert run.callback.told(run.state, run.args) == (
        "Stopped early at step 6 of 100: eval_x had not got better in 2 evaluations. The best was "
        "0.4, at step 4."
    )
    assert run.callback.facts(run.state) == {
        "stopped_early": "after 2 evaluations without a gain of more than 0",
        "planned_steps": 100,
    }
    run.state.max_steps = 6  # it would have ended here anyway
    assert run.callback.told(run.state, run.args) is None


def test_a_gain_below_the_threshold_is_none() -> None:
    run = _Run(StoppingCallback(1, 0.1), greater=False)
    assert [run.evaluate(v) for v in (0.9, 0.7, 0.65)] == [False, False, True]


def test_a_measure_that_says_nothing_is_no_gain() -> None:
    run = _Run(StoppingCallback(2), greater=True)
    assert [run.evaluate(v) for v in (0.5, None, None)] == [False, False, True]
    assert run.state.best_metric == 0.5


def test_without_patience_no_run_stops() -> None:
    run = _Run(StoppingCallback(), greater=True)
    assert not any(run.evaluate(0.5) for _ in range(50))


@pytest.mark.parametrize("greater", [True, False])
@pytest.mark.parametrize("stopped_at", range(1, 6))
def test_a_run_that_goes_on_counts_as_if_it_had_not_stopped(greater: bool, stopped_at: int) -> None:
    values = [None, 0.5, 0.55, 0.2, None, 0.6, 0.9]
    straight = _Run(StoppingCallback(9, 0.1), greater=greater)
    counts = []
    for value in values:
        straight.evaluate(value)
        counts.append(straight.callback.early_stopping_patience_counter)
    first = _Run(StoppingCallback(9, 0.1), greater=greater)
    for value in values[:stopped_at]:
        first.evaluate(value)
    first.callback = StoppingCallback(9, 0.1)
    first.callback.on_train_begin(first.args, first.state, first.control)
    again = [first.callback.early_stopping_patience_counter]
    for value in values[stopped_at:]:
        first.evaluate(value)
        again.append(first.callback.early_stopping_patience_counter)
    assert again == counts[stopped_at - 1 :]


def test_a_run_that_learns_nothing_stops_and_says_so(
    tune: Tune, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = io.StringIO()
    monkeypatch.setattr("fixtures_data.Console", lambda file: Console(file=told, width=200))
    result = tune(
        validation_data_path=generated.validation,
        learning_rate=1e-12,
        warmup_steps=0,
        max_steps=9,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        early_stopping_patience=2,
    )
    assert "Stopped early at step 3 of 9: eval_loss had not got better" in told.getvalue()
    log = [json.loads(line) for line in (result.run_folder / "log.jsonl").read_text().splitlines()]
    assert len([line for line in log if "eval_loss" in line]) == 3
    provenance = load_checkpoint(result.model_folder).provenance
    assert provenance is not None
    assert provenance.recipe["planned_steps"] == 9
    assert provenance.recipe["optimizer_steps"] == 3
    assert provenance.recipe["saved_step"] == 1
