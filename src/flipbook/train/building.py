"""Can the library make what the flags ask for?

flags with JSON            ->  nothing, or an ArgumentError that names the flag
optimizer, schedule        ->  made, or the library's error as an ArgumentError that names flags
schedule, number of steps  ->  nothing, or an ArgumentError where a rate would be none

What an optimizer or a schedule takes, only the library knows. So it is let try, and what it says
becomes an error of the flags here, in one place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from flipbook.errors import ArgumentError, one_line

if TYPE_CHECKING:
    from flipbook.train.arguments import TrainingArguments

NUM_LOOKED_AT = 100  # steps of a schedule
_KWARGS = "_kwargs"
# What a library says of settings that it does not take; too little memory is none of these.
_REFUSALS = (
    ImportError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)


def check_json(args: TrainingArguments) -> None:
    """Check that flags with JSON have some, or name a file of it where they may.

    Raises:
        ArgumentError: one is neither.
    """
    for name in args._VALID_DICT_FIELDS:
        value = getattr(args, name)
        if not isinstance(value, str):
            continue
        or_file = "" if name.endswith(_KWARGS) else ", or a file of it"
        try:
            is_file = bool(or_file) and not value.startswith("{")
            found = json.loads(Path(value).read_text(encoding="utf-8") if is_file else value)
        except (OSError, ValueError) as error:
            raise ArgumentError(
                f"--{name} {one_line(value)}: cannot be read as JSON ({error}). Give an object as "
                f"in '{{\"name\": 1}}'{or_file}."
            ) from error
        if not isinstance(found, dict):
            raise ArgumentError(f"--{name} {one_line(value)}: is no JSON object with names.")


@contextmanager
def built_for(args: TrainingArguments, *names: str) -> Iterator[None]:
    """Let the library make something, and turn what it refuses into an error of its flags.

    Args:
        names: of the flags that decide what is made.

    Raises:
        ArgumentError: the library refuses them.
    """
    try:
        yield
    except _REFUSALS as error:
        given = ", ".join(f"--{name} {_shown(args, name)}" for name in names if _shown(args, name))
        raise ArgumentError(
            f"{given}: cannot be used ({type(error).__name__}: {one_line(str(error))}). Nothing "
            "was trained. Give values that go together, or leave them out."
        ) from error


def check_schedule(schedule: Any, num_steps: int) -> None:
    """Check that a schedule has a rate for each step, as far as it is known beforehand.

    Args:
        schedule: of the library.
        num_steps: of the run.

    Raises:
        ValueError: at some step it would be negative, infinite or no number.
    """
    if not isinstance(schedule, torch.optim.lr_scheduler.LambdaLR):
        return  # it follows what the run measures
    steps = {*range(0, num_steps, max(1, num_steps // NUM_LOOKED_AT)), num_steps - 1, num_steps}
    for step in sorted(steps):
        for share in schedule.lr_lambdas:
            found = share(step)
            if not 0 <= found < math.inf:
                raise ValueError(f"at step {step} the rate would be {found:g} times its peak")


def _shown(args: TrainingArguments, name: str) -> str:
    """Return a flag's value as it may be given; empty where it has none."""
    value = getattr(args, name)
    value = getattr(value, "value", value)  # of an enumeration
    return "" if value is None else json.dumps(value) if isinstance(value, dict) else str(value)
