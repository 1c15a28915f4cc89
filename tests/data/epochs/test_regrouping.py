"""Steps that were made for some processes are the same on any other number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipbook.data.epochs.packing import PackedBatches, Units, filler_of
from flipbook.data.epochs.regrouping import RegroupedBatches, Regrouping

FILLER = -1
pytestmark = pytest.mark.guarantee(2)


def _units(num_tokens: list[int]) -> Units:
    lengths = np.array(num_tokens, dtype=np.int64)
    numbers = np.arange(len(lengths) + 1)
    return Units(numbers[:-1], numbers, lengths, lengths)


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 9),
    accumulation=st.integers(1, 7),
    now=st.integers(1, 13),
    num_rows=st.integers(0, 30),
)
def test_any_processes_take_the_same_steps(
    width: int, accumulation: int, now: int, num_rows: int
) -> None:
    regrouping = Regrouping(width, accumulation, now)
    batches = list(range(width * num_rows))  # packed batches are a multiple of the processes
    found = regrouping.apply(batches, filler=FILLER)
    assert [batch for batch in found if batch != FILLER] == batches
    assert len(found) == regrouping.num_padded(len(batches))
    assert len(found) % now == 0
    # As the trainer takes them: each process reads its share, `accumulation_now` for a step.
    shares = [found[rank::now] for rank in range(now)]
    per_step = regrouping.accumulation_now
    num_steps = -(-len(shares[0]) // per_step)
    size = width * accumulation
    assert num_steps == regrouping.num_steps(len(batches)) == -(-len(batches) // size)
    for step in range(num_steps):
        parts = [share[step * per_step : (step + 1) * per_step] for share in shares]
        assert len({len(part) for part in parts}) == 1
        seen = sorted(batch for part in parts for batch in part if batch != FILLER)
        assert seen == batches[step * size : (step + 1) * size]


@settings(max_examples=30, deadline=None)
@given(
    num_tokens=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    width=st.integers(1, 4),
    accumulation=st.integers(1, 3),
    now=st.integers(1, 5),
    epoch=st.integers(0, 3),
)
def test_each_unit_is_seen_once_in_an_epoch(
    num_tokens: list[int], width: int, accumulation: int, now: int, epoch: int
) -> None:
    units = _units(num_tokens)
    packed = PackedBatches(units, max_conversations=3, num_processes=width, seed=1)
    regrouped = RegroupedBatches(packed, Regrouping(width, accumulation, now))
    batches = regrouped.batches(epoch)
    assert len(batches) == len(regrouped)
    assert regrouped.num_packed == len(packed)
    seen = [unit for batch in batches for unit in batch if unit >= 0]
    assert sorted(seen) == list(range(len(num_tokens)))
    assert [batch for batch in batches if batch[0] >= 0] == [
        batch for batch in packed.batches(epoch) if batch[0] >= 0
    ]


def test_fillers_are_the_shortest_and_their_share_is_told() -> None:
    packed = PackedBatches(_units([5, 2, 9, 7]), max_conversations=1, num_processes=2, seed=1)
    regrouped = RegroupedBatches(packed, Regrouping(2, 1, 3))
    assert regrouped.batches(0)[2::3] == [[filler_of(1)], [filler_of(1)]]
    assert regrouped.share_of_fillers == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="must be 1 or more"):
        Regrouping(0, 1, 1)
