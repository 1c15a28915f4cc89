"""A mixture shows every record as often as its weight says, whoever asks and in whatever order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from flipbook.data.epochs.mixing import Mixture, mix
from flipbook.data.epochs.packing import PackedBatches, make_units
from flipbook.errors import ArgumentError

SIZES = (10, 7, 5)


def mixture(*weights: float, seed: int = 3) -> Mixture:
    group_of = np.repeat(np.arange(len(weights)), SIZES[: len(weights)])
    return Mixture(group_of, weights, seed)


@pytest.mark.parametrize("weights", [(1.0, 2.0, 3.0), (0.5, 1.5, 0.3), (2.25, 0.1, 1.0)])
def test_after_any_number_of_epochs_each_unit_is_seen_as_often_as_the_others(
    weights: tuple[float, ...],
) -> None:
    mixed = mixture(*weights)
    seen: Counter[int] = Counter()
    for epoch in range(12):
        seen.update(mixed.units(epoch).tolist())
        for group, weight in enumerate(weights):
            counts = [seen[int(unit)] for unit in np.flatnonzero(mixed.group_of == group)]
            assert max(counts) - min(counts) <= 1
            assert sum(counts) == int((epoch + 1) * weight * len(counts) + 1e-9)


def test_epochs_are_drawn_from_the_seed_alone() -> None:
    backwards = [mixture(0.5, 1.5).units(epoch).tolist() for epoch in (5, 2, 0)]
    forwards = [mixture(0.5, 1.5).units(epoch).tolist() for epoch in (0, 2, 5)]
    assert backwards == forwards[::-1]
    assert forwards[0] != forwards[1]
    assert mixture(0.5, seed=4).units(0).tolist() != mixture(0.5, seed=3).units(0).tolist()


def test_whole_weights_make_all_epochs_alike() -> None:
    assert mixture(1.0, 2.0).is_alike
    assert not mixture(1.0, 2.0).is_plain
    assert mixture(1.0, 1.0).is_plain
    assert not mixture(1.0, 0.5).is_alike


def units_of(num_clips: int, seed: int = 0) -> tuple[object, np.ndarray]:
    rng = np.random.default_rng(seed)
    clips = np.repeat(np.arange(num_clips), rng.integers(1, 5, num_clips))
    units = make_units(
        clips=clips,
        num_tokens=rng.integers(20, 90, len(clips)),
        head_tokens=np.full(len(clips), 10),
        max_conversations=8,
    )
    return units, clips[units.members[units.starts[:-1]]]


@pytest.mark.parametrize("num_processes", [1, 3])
@pytest.mark.parametrize("capacity", [{"max_conversations": 6}, {"max_tokens": 300}])
def test_batches_of_a_mixture_hold_what_it_shows(
    capacity: dict[str, int], num_processes: int
) -> None:
    units, clips = units_of(40)
    mixed = Mixture((clips % 3).astype(np.int64), (1.0, 0.4, 1.7), 5)
    batches = PackedBatches(
        units, **capacity, num_processes=num_processes, seed=5, mixture=mixed, num_epochs=6
    )
    for epoch in range(6):
        made = batches.batches(epoch)
        assert len(made) == len(batches)
        assert len(made) % num_processes == 0
        flat = sorted(unit for batch in made for unit in batch if unit >= 0)
        assert flat == sorted(mixed.units(epoch).tolist())


def test_what_an_epoch_shows_does_not_depend_on_the_number_of_processes() -> None:
    units, clips = units_of(30)
    mixed = Mixture((clips % 2).astype(np.int64), (0.5, 1.0), 1)
    sets = []
    for width in (1, 2, 4):
        batches = PackedBatches(
            units, max_conversations=8, num_processes=width, seed=1, mixture=mixed, num_epochs=3
        )
        sets.append([sorted(u for b in batches.batches(e) for u in b if u >= 0) for e in range(3)])
    assert sets[0] == sets[1] == sets[2]


def _mix(image_replay: float | None, *, is_still: list[bool], source_of: list[int]) -> Mixture:
    return mix(
        source_of=np.array(source_of),
        weights=(1.0, 2.0),
        is_still=np.array(is_still),
        num_conversations=np.ones(len(is_still), dtype=np.int64),
        image_replay=image_replay,
        seed=0,
    )


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_still_images_get_the_share_that_is_asked_for(share: float) -> None:
    is_still = [False] * 300 + [True] * 90 + [False] * 50
    source_of = [0] * 300 + [1] * 140
    mixed = _mix(share, is_still=is_still, source_of=source_of)
    for epoch in range(4):
        shown = np.array(is_still)[mixed.units(epoch)]
        assert abs(shown.mean() - share) < 0.005
    counts = Counter(mixed.units(0).tolist())
    assert {counts[unit] for unit in range(300)} == {1}
    assert {counts[unit] for unit in range(390, 440)} == {2}


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="do not hold still images. Add records about pictures"):
        _mix(0.2, is_still=[False] * 4, source_of=[0] * 4)
    with pytest.raises(ArgumentError, match="do not hold anything but still images.*about clips"):
        _mix(0.2, is_still=[True] * 4, source_of=[0] * 4)
