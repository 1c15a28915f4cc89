"""Is every number that a flag may not be refused before anything is read?"""

from __future__ import annotations

import dataclasses
import math
import typing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures_data import Tune
from flipbook.errors import ArgumentError
from flipbook.train.arguments import DataArguments, ModelArguments, TrainingArguments
from flipbook.train.parsing import parse_arguments
from flipbook.train.ranges import ANY_NUMBER, RANGES, check_ranges
from flipbook.video.ranges import Range

KINDS = (ModelArguments, DataArguments, TrainingArguments)
WORDS = ["--data_path", "rows.json", "--use_cpu=true"]  # a file that is not there


def _is_number(hint: object) -> bool:
    parts = typing.get_args(hint)
    is_choice = typing.get_origin(hint) is typing.Literal
    return hint in (int, float) or (not is_choice and any(map(_is_number, parts)))


def _numbers_of(kind: type) -> set[str]:
    hints = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind) if field.init]
    return {name for name in fields if _is_number(hints[name])}


def _outside(numbers: Range) -> st.SearchStrategy[float]:
    """Return numbers that a range does not have, its nearest neighbours often among them."""
    near = [numbers.least - 1, numbers.least, numbers.most, math.inf, -math.inf, math.nan]
    near += [math.nextafter(numbers.least, -math.inf), numbers.most + 1]
    if numbers.is_whole:
        near = [int(value) for value in near if math.isfinite(value)]
        drawn: st.SearchStrategy[float] = st.integers()
    else:
        drawn = st.floats()
    return st.one_of(st.sampled_from(near), drawn).filter(lambda value: not numbers.has(value))


def test_every_flag_with_a_number_has_a_range() -> None:
    found = set().union(*map(_numbers_of, KINDS))
    assert found == RANGES.keys() | ANY_NUMBER
    assert not RANGES.keys() & ANY_NUMBER


@pytest.mark.parametrize("name", RANGES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_what_is_outside_is_refused_by_name(name: str, data: st.DataObject) -> None:
    value = data.draw(_outside(RANGES[name]))
    owner = next(kind for kind in KINDS if name in _numbers_of(kind))
    given_value = [value, 0.0, 1.0] if name == "split_fractions" else value
    with pytest.raises(ArgumentError, match=f"^--{name} is .*: give a (whole )?number") as caught:
        owner(**{name: given_value})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "flag",
    [
        "per_device_train_batch_size=0",
        "per_device_train_batch_size=-1",
        "per_device_eval_batch_size=0",
        "gradient_accumulation_steps=0",
        "gradient_accumulation_steps=-2",
        "seed=-1",
        "seed=99999999999999",
        "data_seed=-1",
        "num_train_epochs=nan",
        "num_train_epochs=inf",
        "dataloader_num_workers=-1",
        "feature_store_max_gb=nan",
        "feature_store_max_gb=inf",
        "adam_beta1=2",
        "adam_beta2=1",
        "adam_epsilon=-1",
        "neftune_noise_alpha=nan",
        "save_steps=nan",
        "eval_steps=0",
        "eval_steps=-1",
        "max_steps=-5",
        "max_steps=0",
        "learning_rate=nan",
        "learning_rate=inf",
    ],
)
def test_flags_are_refused_before_data_are_read(flag: str) -> None:
    name = flag.split("=")[0]
    with pytest.raises(ArgumentError, match=f"^--{name} is "):
        parse_arguments([*WORDS, f"--{flag}"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--split_fractions", "2", "-1", "0"], "--split_fractions is 2.0"),
        (["--split_fractions", "1"], "--split_fractions 1: give 3 numbers"),
        (["--lr_scheduler_kwargs", "notjson"], "--lr_scheduler_kwargs notjson: cannot be read"),
        (["--lr_scheduler_kwargs", "{bad"], "--lr_scheduler_kwargs {bad: cannot be read"),
        (["--accelerator_config", "absent.json"], "--accelerator_config absent.json: cannot be"),
        (["--fsdp", "full_shard"], "--fsdp divides a model among processes"),
    ],
)
def test_other_flags_are_refused_before_data_are_read(words: list[str], told: str) -> None:
    with pytest.raises(ArgumentError, match=told):
        parse_arguments([*WORDS, *words])


def test_the_ends_of_a_range_are_as_it_says() -> None:
    assert Range(most=1).has(0)
    assert Range(most=1).has(1.0)
    assert not Range(most=1, below_most=True).has(1)
    assert not Range(above_least=True).has(0)
    assert not Range().has(math.inf)
    assert Range(may_be_infinite=True).has(math.inf)
    assert not Range(may_be_infinite=True).has(math.nan)
    assert Range(least=1, also=-1).has(-1)
    assert not Range(is_whole=True).has(1.0)
    assert not Range().has(True)
    assert not Range().has("1")


def test_defaults_are_in_their_ranges() -> None:
    for kind in KINDS:
        check_ranges(kind(**({"use_cpu": True} if kind is TrainingArguments else {})))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            {"lr_scheduler_kwargs": '{"foo":1}'},
            r'--lr_scheduler_kwargs \{"foo": 1\}: cannot be used',
        ),
        (
            {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": '{"lr_end":1}'},
            "--lr_scheduler_type polynomial.*lr_end",
        ),
        (
            {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": '{"lr_end":-1}'},
            "the rate would be -",
        ),
        ({"optim": "galore_adamw"}, "--optim galore_adamw: cannot be used"),
    ],
)
def test_what_the_library_does_not_take_is_told_as_flags(
    tune: Tune, flags: dict[str, object], told: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=told):
        tune(tmp_path / "run", **flags)
