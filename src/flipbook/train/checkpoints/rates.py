"""What of an optimizer is a setting, which a run that goes on with other ones must be given?

state of a checkpoint, settings of now  ->  moments and step of before; rates, decay, betas of now

The state of an optimizer holds its settings too, so that those of before come back with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim.lr_scheduler import LambdaLR

_FIRST_RATE = "initial_lr"


def settings_of(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a group of parameters."""
    return {name: value for name, value in group.items() if name != "params"}


def give_settings(given: Sequence[Mapping[str, Any]], optimizer: Any, schedule: Any) -> None:
    """Let an optimizer go on with other settings from the step at which it is.

    Args:
        given: the settings of each group, with the rates before the first step.
        schedule: at the step of the optimizer; where its rate is none of the step alone, as on a
            plateau, the rate is the given one.
    """
    schedule = getattr(schedule, "scheduler", schedule)  # within that of accelerate
    for group, settings in zip(optimizer.param_groups, given, strict=True):
        group.update(settings)
    if not isinstance(schedule, LambdaLR):
        return
    schedule.base_lrs = [group[_FIRST_RATE] for group in optimizer.param_groups]
    rates = zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
    schedule._last_lr = [rate * factor(schedule.last_epoch) for rate, factor in rates]
    for group, rate in zip(optimizer.param_groups, schedule._last_lr, strict=True):
        group["lr"] = rate
