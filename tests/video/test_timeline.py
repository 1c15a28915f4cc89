"""Is a rate called constant exactly when it is, whatever a container rounds?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fixtures_video import MakeClip
from flipbook.video.opening import open_video
from flipbook.video.timeline import Timeline, timeline_from_index, timeline_from_packets

Rounding = Callable[[np.ndarray], np.ndarray]


def timeline(ticks: np.ndarray, *, tick_s: float) -> Timeline:
    total = len(ticks)
    return Timeline(
        ticks=ticks.astype(np.int64),
        tick_s=tick_s,
        is_key=np.arange(total) == 0,
        key_of=np.zeros(total, dtype=np.int64),
        key_ticks=ticks[:1].astype(np.int64),
        key_seeks=ticks[:1].astype(np.int64),
        is_exact=True,
    )


@pytest.mark.parametrize("rate", [24, 24000 / 1001, 25, 30000 / 1001, 30, 60, 120])
@pytest.mark.parametrize("rounding", [np.round, np.floor, np.ceil])
@pytest.mark.parametrize("ticks_per_s", [1000, 12_800, 90_000])
def test_rounded_times_are_a_constant_rate(
    rate: float, rounding: Rounding, ticks_per_s: int
) -> None:
    for total in (1, 2, 3, 10, 1000):
        ticks = rounding(np.arange(total) * ticks_per_s / rate) + 7
        clip = timeline(ticks, tick_s=1 / ticks_per_s)
        assert not clip.is_variable_rate
        ruler = clip.ruler()
        assert (ruler.starts == np.arange(total)).all() and ruler.end == total
        if total > 2:
            assert ruler.duration_s == pytest.approx(total / rate, abs=2 / ticks_per_s)


@pytest.mark.parametrize("ticks_per_s", [30, 1000, 90_000])
@pytest.mark.parametrize("dropped", [[2], [50], [97], [3, 60, 61]])
def test_a_dropped_frame_makes_the_rate_variable(ticks_per_s: int, dropped: list[int]) -> None:
    instants = np.delete(np.arange(100), dropped)
    clip = timeline(np.round(instants * ticks_per_s / 30), tick_s=1 / ticks_per_s)
    assert clip.is_variable_rate
    assert clip.ruler().starts == pytest.approx(instants / 30, abs=0.001)


def test_both_ways_to_a_timeline_agree(make_clip: MakeClip) -> None:
    with open_video(make_clip("agree.mp4")) as video:
        quick = timeline_from_index(video)
        slow = timeline_from_packets(video)
    assert quick is not None
    for name in ("ticks", "is_key", "key_of", "key_ticks", "key_seeks"):
        assert (getattr(quick, name) == getattr(slow, name)).all(), name
    assert np.flatnonzero(quick.is_key).tolist() == [0, 10, 20]


def test_a_table_that_proves_nothing_is_not_believed(make_clip: MakeClip) -> None:
    times_ms = (*range(0, 600, 50), 4000)
    options = "-c:v libx264 -pix_fmt yuv420p"
    for path in (
        make_clip("uneven.mp4", num_frames=13, times_ms=times_ms),
        make_clip("other.mkv", options=options),
        make_clip("parts.mp4", options=options + " -movflags frag_keyframe+empty_moov"),
    ):
        with open_video(path) as video:
            assert timeline_from_index(video) is None
