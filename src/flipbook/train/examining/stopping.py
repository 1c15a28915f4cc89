"""When has a model in training stopped getting better, and by which measure?

    --metric_for_best_model, what the run measures  ->  accepted, or a refusal that names them
    the measure of each evaluation                  ->  go on, or stop after too many without gain

Evaluations without a value of the measure, such as an error of numbers where none was given, are
no better than those before.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from transformers import EarlyStoppingCallback

from flipbook.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from flipbook.train.arguments import TrainingArguments

PREFIX = "eval_"
LOSS = "loss"
NEVER = sys.maxsize  # evaluations
LOWER_IS_BETTER = (LOSS, "absolute_error", "unparsed")


def is_higher_better(metric: str) -> bool:
    """Return whether more is better, by the name of a measure, with `eval_` or without.

    "loss" -> no    "count_absolute_error" -> no    "open_token_f1" -> yes
    """
    return not metric.endswith(LOWER_IS_BETTER)


def with_prefix(metric: str) -> str:
    """Return the name of a measure as it stands in the log."""
    return metric if metric.startswith(PREFIX) else PREFIX + metric


def check_metric(args: TrainingArguments, names: Iterable[str]) -> None:
    """Check that the measure by which the best checkpoint is chosen will be there.

    Args:
        names: what this run measures beside the loss, without `eval_`.

    Raises:
        ArgumentError: it will not.
    """
    if args.metric_for_best_model is None:
        return
    wanted = with_prefix(args.metric_for_best_model)
    known = [with_prefix(name) for name in (LOSS, *names)]
    if wanted not in known:
        no_answers = " It asks no questions, since --eval_num_answers is 0."
        raise ArgumentError(
            f"--metric_for_best_model {args.metric_for_best_model}: this run does not measure that."
            f"{did_you_mean(wanted, known)} It measures {', '.join(known)}."
            f"{no_answers if args.eval_num_answers == 0 else ''}"
        )


class StoppingCallback(EarlyStoppingCallback):
    """Watches the measure of the best checkpoint, and stops a run that no longer gains by it.

    Args:
        early_stopping_patience: after how many evaluations without gain.
        early_stopping_threshold: a gain is more than this.
    """

    def __init__(
        self, early_stopping_patience: int = NEVER, early_stopping_threshold: float = 0.0
    ) -> None:
        super().__init__(early_stopping_patience, early_stopping_threshold)

    @property
    def stops(self) -> bool:
        """Whether the last evaluations were without gain, as many as there may be."""
        return bool(self.early_stopping_patience_counter >= self.early_stopping_patience)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count anew, from the evaluations of a run that goes on."""
        self.early_stopping_patience_counter = 0
        name = with_prefix(args.metric_for_best_model or LOSS)
        worst = -math.inf if args.greater_is_better else math.inf
        past = SimpleNamespace(best_metric=None)
        for line in state.log_history:
            if PREFIX + LOSS in line and line["step"] > 0:
                value = line.get(name, math.nan)
                self.check_metric_value(args, past, control, value)  # type: ignore[no-untyped-call]
                known = [v for v in (past.best_metric, value, worst) if v is not None and v == v]
                past.best_metric = max(known) if args.greater_is_better else min(known)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Count, and stop the run where it is time."""
        # The library looks for the name in `metrics` next, and finds that NaN is no gain.
        metrics.setdefault(with_prefix(args.metric_for_best_model or LOSS), math.nan)
        super().on_evaluate(args, state, control, metrics, **kwargs)  # type: ignore[no-untyped-call]

    def told(self, state: Any, args: TrainingArguments) -> str | None:
        """Return in words that a run stopped early; None where it did not."""
        if not self.stops or state.global_step >= state.max_steps:
            return None
        name, best = with_prefix(args.metric_for_best_model or LOSS), ""
        if state.best_global_step:
            best = f" The best was {state.best_metric:.4g}, at step {state.best_global_step}."
        return (
            f"Stopped early at step {state.global_step} of {state.max_steps}: {name} had not got "
            f"better in {self.early_stopping_patience_counter} evaluations.{best}"
        )

    def facts(self, state: Any) -> dict[str, Any]:
        """Return what the provenance of a run that stopped early says of it."""
        return {
            "stopped_early": f"after {self.early_stopping_patience_counter} evaluations without a "
            f"gain of more than {self.early_stopping_threshold:g}",
            "planned_steps": state.max_steps,
        }
