"""The best choice is the one that the rule names, and nothing over a budget is chosen."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures_model import make_model
from flipbook.train.arguments import (
    Arguments,
    DataArguments,
    ModelArguments,
    TrainingArguments,
)
from flipbook.train.planning.choices import Budget, Choice, best_of, footprints_of, tuning_name

BUDGET = Budget(memory_bytes=100, max_length=50)


def choice(frames: int, side: int, size: int | None, **changed: Any) -> Choice:
    values: dict[str, Any] = {
        "num_frames": frames,
        "side_px": side,
        "tuning": "full",
        "batch_size": size,
        "longest_tokens": 10,
        "num_too_long": 0,
        "fits": "kept",
        "peak_bytes": 50,
        "kept_bytes": 50,
        "recomputed_bytes": 30,
    }
    return Choice(**values | changed)


def arguments(**words: Any) -> Arguments:
    training = TrainingArguments(use_cpu=True, report_to="none")
    return Arguments(ModelArguments(**words), DataArguments(), training)


def test_frames_come_first_then_the_side_then_the_batch() -> None:
    choices = [choice(4, 512, 8), choice(8, 256, 2), choice(8, 256, 4), choice(8, 384, 1)]
    assert best_of(choices, BUDGET) == {"full": choices[3]}
    assert best_of(choices[:3], BUDGET) == {"full": choices[2]}
    assert best_of(choices[:1], BUDGET) == {"full": choices[0]}


@pytest.mark.parametrize(
    "bad", [{"fits": "no"}, {"num_too_long": 1}, {"longest_tokens": 21}], ids=str
)
def test_what_is_over_a_budget_is_not_chosen(bad: dict[str, Any]) -> None:
    budget = Budget(memory_bytes=100, max_length=50, batch_tokens=20)
    good = choice(4, 256, 1, fits="recomputed")
    assert best_of([good, choice(8, 512, 8, **bad)], budget) == {"full": good}
    assert best_of([choice(8, 512, 8, **bad)], budget) == {"full": None}


def test_each_way_of_tuning_has_its_best() -> None:
    lora = choice(16, 256, 1, tuning="LoRA r=8")
    assert best_of([lora, choice(8, 256, 1)], BUDGET) == {
        "LoRA r=8": lora,
        "full": choice(8, 256, 1),
    }


def test_both_ways_of_tuning_are_weighed() -> None:
    config = make_model(5).config
    found = footprints_of(config, arguments(lora_r=4))
    assert list(found) == [tuning_name(4), "full"] == ["LoRA r=4", "full"]
    assert found["LoRA r=4"].num_trained < found["full"].num_trained
    assert list(footprints_of(config, arguments())) == ["LoRA r=16", "full"]


def test_without_the_language_model_there_is_one_way() -> None:
    found = footprints_of(make_model(5).config, arguments(train_parts=["projector"]))
    assert list(found) == ["full"]
