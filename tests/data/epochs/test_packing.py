from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from flipbook.data.epochs.packing import PackedBatches, Units, filler_of, make_units
from flipbook.errors import ArgumentError


def units_of(
    clips: list[int], lengths: list[int] | None = None, *, head: int = 10, **settings: Any
) -> Units:
    num_tokens = np.array(lengths or [30] * len(clips))
    return make_units(
        clips=np.array(clips),
        num_tokens=num_tokens,
        head_tokens=np.full(len(clips), head),
        **{"max_conversations": 8} | settings,
    )


def random_units(number: int = 300, *, seed: int = 0) -> Units:
    rng = np.random.default_rng(seed)
    return units_of(list(range(number)), rng.integers(20, 400, number).tolist())


def all_of(units: Units) -> list[tuple[int, ...]]:
    return [units[unit] for unit in range(len(units))]


def test_conversations_about_a_clip_come_together_wherever_they_stand() -> None:
    units = units_of([0, 1, 0, 2, 1, 0], [20, 30, 25, 40, 35, 22])
    assert all_of(units) == [(0, 2, 5), (1, 4), (3,)]
    assert units.num_tokens.tolist() == [20 + 25 + 22 - 2 * 10, 30 + 35 - 10, 40]
    assert units.num_alone.tolist() == [67, 65, 40]


def test_what_shares_nothing_stays_alone() -> None:
    units = units_of([0, 0, 0], head=0)
    assert all_of(units) == [(0,), (1,), (2,)]
    assert len(units_of([0, 0, 0], max_conversations=1)) == 3


def test_many_conversations_are_divided_evenly() -> None:
    sizes = units_of([0] * 9 + [1] * 17).num_conversations.tolist()
    assert sorted(sizes) == [4, 5, 5, 6, 6]


def test_which_of_many_come_together_depends_on_the_seed_alone() -> None:
    clips = [0] * 20
    first, again, other, plain = (units_of(clips, seed=seed) for seed in (1, 1, 2, None))
    assert all_of(first) == all_of(again)
    assert all_of(first) != all_of(other)
    assert [member for unit in all_of(plain) for member in unit] == list(range(20))
    for units in (first, other):
        assert sorted(units.members.tolist()) == list(range(20))


def test_a_unit_is_divided_until_it_is_short_enough() -> None:
    units = units_of([0] * 8, [30] * 8, max_tokens=60)
    assert max(units.num_tokens) <= 60
    assert sorted(units.members.tolist()) == list(range(8))
    lone = units_of([0, 0], [90, 90], max_tokens=60)
    assert all_of(lone) == [(0,), (1,)]


@pytest.mark.parametrize("num_processes", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", [None, 5])
def test_every_unit_is_in_one_batch_of_each_epoch(num_processes: int, seed: int | None) -> None:
    units = random_units()
    batches = PackedBatches(units, max_tokens=1000, num_processes=num_processes, seed=seed)
    assert len(batches) % num_processes == 0
    for epoch in range(5):
        packed = batches.batches(epoch)
        assert len(packed) == len(batches)
        assert Counter(unit for batch in packed for unit in batch) == Counter(range(len(units)))
        assert max(units.num_tokens[batch].sum() for batch in packed) <= 1000


def test_order_is_a_pure_function_of_seed_and_epoch() -> None:
    def at(seed: int, epoch: int) -> list[list[int]]:
        return PackedBatches(random_units(), max_conversations=16, seed=seed).batches(epoch)

    assert at(1, 0) == at(1, 0)
    assert at(1, 0) != at(1, 1)
    assert at(1, 0) != at(2, 0)


def test_batches_of_mixed_lengths_are_nearly_full() -> None:
    batches = PackedBatches(random_units(4000), max_tokens=4096, num_processes=4, seed=3)
    assert batches.filling > 0.95
    lengths = np.array([batches.units.num_tokens[b].sum() for b in batches.batches(1)])
    steps = lengths.reshape(-1, 4)
    assert (steps.max(axis=1) / steps.mean(axis=1)).mean() < 1.02


def test_questions_may_be_counted_in_place_of_tokens() -> None:
    units = units_of([0] * 6 + [1] * 4 + list(range(2, 8)))
    batches = PackedBatches(units, max_conversations=8, seed=0)
    assert len(batches) == 2
    for batch in batches.batches(0):
        assert units.num_conversations[batch].sum() == 8


def test_an_iteration_yields_conversations_of_the_epoch_it_is_told() -> None:
    epoch = 0
    units = random_units(40)
    batches = PackedBatches(units, max_conversations=4, seed=0, epoch_of=lambda: epoch)
    first = list(batches)
    assert first == [[units[unit] for unit in batch] for batch in batches.batches(0)]
    epoch = 1
    assert list(batches) != first


def test_processes_without_a_sample_get_fillers() -> None:
    units = units_of([0, 1, 2, 2, 3], [30, 12, 40, 41, 33])
    batches = PackedBatches(units, max_conversations=1 + 1, num_processes=3, seed=0)
    packed = batches.batches(0)
    real = [unit for batch in packed for unit in batch if unit >= 0]
    assert sorted(real) == [0, 1, 2, 3]
    many = PackedBatches(units, max_tokens=100, num_processes=8, seed=0)
    assert len(many) == 8
    yielded = [unit for batch in many for unit in batch]
    fillers = [unit for unit in yielded if unit[0] < 0]
    assert fillers == [(filler_of(1),)] * 4  # the shortest
    assert sorted(unit for unit in yielded if unit[0] >= 0) == [(0,), (1,), (2, 3), (4,)]
    assert filler_of(filler_of(7)) == 7


def test_a_conversation_that_fits_into_no_batch_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"--max_batch_tokens 50: one conversation.*80 tokens"):
        PackedBatches(units_of([0, 1], [30, 80]), max_tokens=50)
    with pytest.raises(ValueError, match="either"):
        PackedBatches(units_of([0]))
