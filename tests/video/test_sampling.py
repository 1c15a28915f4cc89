"""Do samplers place instants where they say, in order, and on frames that exist?"""

from __future__ import annotations

import numpy as np
import pytest

from flipbook.video.sampling import (
    SAMPLERS,
    Ruler,
    frames_on_display,
    sample_frames,
    segments,
)
from flipbook.video.snapping import snap_to_cheap


def constant(total: int, *, rate: float = 30.0) -> Ruler:
    return Ruler(np.arange(total, dtype=np.float64), end=float(total), unit_s=1 / rate)


def variable(total: int, *, seed: int) -> Ruler:
    gaps = np.random.default_rng(seed).uniform(0.01, 0.5, total)
    starts = np.concatenate([[0.0], np.cumsum(gaps)[:-1]])
    return Ruler(starts, end=float(starts[-1] + gaps[-1]), unit_s=1.0)


@pytest.mark.parametrize("total", [1, 2, 3, 7, 29, 30, 31, 60, 113, 900, 10_000])
def test_uniform_at_a_constant_rate_is_linspace_of_indices(total: int) -> None:
    for num_frames in range(1, 130):
        expected = np.linspace(0, total - 1, num_frames, dtype=int)
        assert (sample_frames(constant(total), num_frames=num_frames) == expected).all()


@pytest.mark.parametrize("sampler", list(SAMPLERS))
@pytest.mark.parametrize("seed", range(20))
def test_frames_are_in_order_and_inside_the_clip(sampler: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    total, num_frames = int(rng.integers(1, 200)), int(rng.integers(1, 70))
    for ruler in (constant(total), variable(total, seed=seed)):
        for jitter in (None, rng):
            indices = sample_frames(ruler, num_frames=num_frames, sampler=sampler, rng=jitter)
            assert (np.diff(indices) >= 0).all()
            assert indices[0] >= 0
            assert indices[-1] < total
            if sampler != "fps":
                assert len(indices) == num_frames


@pytest.mark.parametrize("seed", range(20))
def test_frames_are_distinct_where_the_clip_has_enough(seed: int) -> None:
    rng = np.random.default_rng(seed)
    total = int(rng.integers(2, 300))
    num_frames = int(rng.integers(1, total + 1))
    for sampler in ("uniform", "segments"):
        indices = sample_frames(constant(total), num_frames=num_frames, sampler=sampler)
        assert len(set(indices.tolist())) == num_frames


def test_short_clips_repeat_frames() -> None:
    assert sample_frames(constant(3), num_frames=8).tolist() == [0, 0, 0, 0, 1, 1, 1, 2]
    assert sample_frames(constant(1), num_frames=3).tolist() == [0, 0, 0]


def test_uniform_at_a_variable_rate_goes_by_time() -> None:
    starts = np.array([0.0, 0.1, 0.2, 0.3, 3.0, 10.0])  # frame 4 is on display at 10 / 3 and 20 / 3
    ruler = Ruler(starts, end=11.0, unit_s=1.0)
    assert sample_frames(ruler, num_frames=4).tolist() == [0, 4, 4, 5]


def test_segments_take_the_middle_without_a_generator() -> None:
    assert sample_frames(constant(40), num_frames=4, sampler="segments").tolist() == [5, 15, 25, 35]


def test_segments_draw_inside_their_own_part() -> None:
    ruler = constant(40)
    drawn = np.stack(
        [segments(ruler, num_frames=4, rng=np.random.default_rng(seed)) for seed in range(200)]
    )
    for part in range(4):
        assert drawn[:, part].min() >= 10 * part and drawn[:, part].max() < 10 * (part + 1)
        assert np.ptp(drawn[:, part]) > 9
    again = segments(ruler, num_frames=4, rng=np.random.default_rng(0))
    assert (again == drawn[0]).all()


@pytest.mark.parametrize(
    ("place", "expected"), [(0.0, [0, 8, 16, 24]), (0.5, [36, 44, 52, 60]), (1.0, [72, 80, 88, 96])]
)
def test_sparse_spreads_frames_over_one_stretch(place: float, expected: list[int]) -> None:
    how = {"num_frames": 4, "sampler": "sparse", "clip_share": 0.25}
    assert sample_frames(constant(97), clip_place=place, **how).tolist() == expected
    assert sample_frames(constant(97), clip_place=1.0, **how | {"clip_share": 1.0}).tolist() == [
        0,
        32,
        64,
        96,
    ]


def test_sparse_draws_where_its_stretch_begins() -> None:
    how = {"num_frames": 4, "sampler": "sparse", "clip_share": 0.25}
    drawn = np.stack(
        [sample_frames(constant(97), rng=np.random.default_rng(s), **how) for s in range(200)]
    )
    assert drawn.min() < 2 and drawn.max() > 94
    assert np.isin(drawn[:, -1] - drawn[:, 0], [24, 25]).all()
    again = sample_frames(constant(97), rng=np.random.default_rng(3), **how)
    assert (again == drawn[3]).all()


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1, 4), (4, 4), (10, 10), (63.6, 64), (64, 64), (1000, 64)]
)
def test_fps_counts_between_floor_and_ceiling(seconds: float, expected: int) -> None:
    ruler = constant(round(seconds * 30))
    indices = sample_frames(
        ruler, num_frames=1, sampler="fps", frames_per_s=1.0, min_frames=4, max_frames=64
    )
    assert len(indices) == expected
    assert indices[0] == 0 and indices[-1] == ruler.starts.size - 1


def test_fps_asks_for_no_more_frames_than_there_are() -> None:
    indices = sample_frames(constant(10), num_frames=1, sampler="fps", frames_per_s=1000.0)
    assert indices.tolist() == list(range(10))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("frame_snap", [0.0, 0.1, 0.25, 0.49])
def test_snapped_frames_stay_distinct_ordered_and_near(seed: int, frame_snap: float) -> None:
    rng = np.random.default_rng(seed)
    total = int(rng.integers(2, 200))
    num_frames = int(rng.integers(2, total + 1))
    ruler = constant(total)
    wanted = sample_frames(ruler, num_frames=num_frames)
    is_cheap = rng.random(total) < 0.2
    snapped = snap_to_cheap(ruler, wanted, is_cheap=is_cheap, frame_snap=frame_snap)
    assert (np.diff(snapped) > 0).all()
    spacing = (wanted[-1] - wanted[0]) / (num_frames - 1)
    assert np.abs(snapped - wanted).max() <= frame_snap * spacing
    assert is_cheap[snapped[snapped != wanted]].all()


def test_snapping_reaches_the_nearest_cheap_frame() -> None:
    ruler = constant(20)
    is_cheap = np.isin(np.arange(20), [0, 4, 8, 12])
    wanted = np.array([2, 7, 12])
    snapped = snap_to_cheap(ruler, wanted, is_cheap=is_cheap, frame_snap=0.25)
    assert snapped.tolist() == [2, 8, 12]
    exact = snap_to_cheap(ruler, wanted, is_cheap=is_cheap, frame_snap=0.0)
    assert exact.tolist() == [2, 7, 12]


def test_snapping_leaves_repeated_frames_in_order() -> None:
    ruler = constant(3)
    wanted = sample_frames(ruler, num_frames=8)
    snapped = snap_to_cheap(ruler, wanted, is_cheap=np.ones(3, dtype=bool), frame_snap=0.4)
    assert (np.diff(snapped) >= 0).all()


def test_an_instant_shows_the_last_frame_that_started() -> None:
    indices = frames_on_display(constant(3), np.array([-1.0, 0.0, 0.99, 1.0, 2.5, 99.0]))
    assert indices.tolist() == [0, 0, 0, 1, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": "unifrom"}, "unknown sampler 'unifrom'.*Did you mean 'uniform'"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"frames_per_s": 0.0}, "frames_per_s is 0.0"),
        ({"frames_per_s": float("nan")}, "frames_per_s is nan"),
        ({"min_frames": 9, "max_frames": 8}, "min_frames is 9 and max_frames is 8"),
        ({"min_frames": 0}, "min_frames is 0"),
        ({"clip_share": 0.0}, "clip_share is 0.0"),
        ({"clip_share": 1.1}, "clip_share is 1.1"),
        ({"clip_place": -0.1}, "clip_place is -0.1"),
    ],
)
def test_arguments_that_cannot_be_meant(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample_frames(constant(9), **({"num_frames": 4} | arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize("frame_snap", [-0.1, 0.5, float("nan")])
def test_frame_snap_out_of_range(frame_snap: float) -> None:
    with pytest.raises(ValueError, match="frame_snap is"):
        snap_to_cheap(
            constant(9), np.array([0, 8]), is_cheap=np.ones(9, dtype=bool), frame_snap=frame_snap
        )


@pytest.mark.parametrize(
    ("starts", "end"), [([], 0.0), ([1.0, 2.0], 3.0), ([0.0, 2.0], 1.0), ([[0.0]], 1.0)]
)
def test_a_ruler_refuses_what_is_no_clip(starts: list[float], end: float) -> None:
    with pytest.raises(ValueError, match="starts"):
        Ruler(np.array(starts, dtype=np.float64), end=end, unit_s=1.0)
