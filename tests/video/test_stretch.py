"""Which frames does a record show that asks for a stretch of a clip, or for some instants?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures_video import MakeClip, number_of
from flipbook.errors import ArgumentError, MediaError
from flipbook.video.decode import read_clip, shown_length_of
from flipbook.video.sampling import Ruler
from flipbook.video.settings import ClipSettings
from flipbook.video.stretch import (
    OutsideClipError,
    shown_frames,
    shown_instants_s,
    shown_length,
    stretch_of,
)
from flipbook.video.view import View

TEN = Ruler(np.arange(10.0), end=10.0, unit_s=0.25)  # 4 frames a second, 2.5 s
UNEVEN = Ruler(np.array([0.0, 0.1, 1.0, 1.2, 3.0]), end=3.75, unit_s=1.0)


@pytest.mark.parametrize(
    ("ruler", "view", "expected"),
    [
        (TEN, View(), None),
        (TEN, View(start_s=1.0, end_s=2.0), (4, 7)),
        (TEN, View(start_s=1.0), (4, 9)),
        (TEN, View(end_s=2.0), (0, 7)),
        (TEN, View(start_s=1.1, end_s=1.15), (4, 4)),  # one frame is on display all the time
        (TEN, View(start_s=1.1, end_s=1.30), (4, 5)),
        (TEN, View(start_s=2.0, end_s=3.4), (8, 9)),  # rounded to after the end
        (TEN, View(start_s=0.7500001, end_s=1.0000001), (3, 3)),
        (UNEVEN, View(start_s=0.5, end_s=1.1), (1, 2)),
        (UNEVEN, View(start_s=1.2, end_s=3.0), (3, 3)),
    ],
)
def test_a_stretch_holds_what_is_on_display_in_it(
    ruler: Ruler, view: View, expected: tuple[int, int] | None
) -> None:
    assert stretch_of(ruler, view) == expected


def test_samplers_see_the_stretch_alone() -> None:
    view = View(start_s=1.0, end_s=2.0)
    assert shown_frames(TEN, view, num_frames=3).tolist() == [4, 5, 7]
    assert shown_frames(TEN, view, num_frames=2, sampler="segments").tolist() == [5, 7]
    jittered = shown_frames(
        TEN, view, num_frames=4, sampler="segments", rng=np.random.default_rng(0)
    )
    assert jittered.tolist() == [4, 5, 6, 7]
    at_rate = {"sampler": "fps", "frames_per_s": 2.0, "min_frames": 1, "max_frames": 9}
    assert shown_frames(TEN, view, num_frames=1, **at_rate).tolist() == [4, 7]
    assert shown_length(TEN, view) == (1.0, 4)
    assert shown_length(TEN, View()) == (2.5, 10)


def test_instants_are_shown_as_they_are() -> None:
    assert shown_frames(TEN, View(times_s=(0, 0.25, 0.3, 2.4)), num_frames=9).tolist() == [
        0,
        1,
        1,
        9,
    ]
    assert shown_frames(UNEVEN, View(times_s=(0.05, 1.1)), num_frames=9).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (View(start_s=2.5), r"shows 2.5 s to 2.5 s, and the clip ends at 2.50 s; mend start_s"),
        (View(start_s=7, end_s=9), "shows 7 s to 9 s, and the clip ends at 2.50 s"),
        (View(end_s=3.6), "shows 0 s to 3.6 s"),
        (View(times_s=(1, 4)), "the frame at 4 s, and the clip ends at 2.50 s; mend times_s"),
    ],
)
def test_a_clip_that_has_ended_is_told(view: View, message: str) -> None:
    with pytest.raises(OutsideClipError, match=message):
        shown_frames(TEN, view, num_frames=2)


@pytest.mark.parametrize("name", ["stretch.mp4", "stretch.mkv"])
def test_the_frames_are_those_of_the_stretch(make_clip: MakeClip, name: str) -> None:
    path = make_clip(name, num_frames=60)
    view = View(start_s=0.5, end_s=1.0)
    clip = read_clip(path, num_frames=15, view=view)
    assert [number_of(f.permute(1, 2, 0).numpy()) for f in clip.frames] == list(range(15, 30))
    assert clip.frame_indices == tuple(range(15, 30))
    assert clip.times_s.tolist() == pytest.approx([n / 30 for n in range(15, 30)], abs=2e-3)
    chosen = read_clip(path, num_frames=2, view=View(times_s=(0.0, 1.0, 1.5)))
    assert [number_of(f.permute(1, 2, 0).numpy()) for f in chosen.frames] == [0, 30, 45]
    assert shown_length_of(path, view) == (pytest.approx(0.5, abs=2e-3), 15)
    with pytest.raises(MediaError, match=rf"{name}: the record shows 5 s to 6 s, and the clip en"):
        read_clip(path, view=View(start_s=5, end_s=6))
    with pytest.raises(MediaError, match="the clip ends at 2.00 s"):
        shown_length_of(path, View(start_s=5))


def test_a_frame_never_snaps_out_of_its_stretch(make_clip: MakeClip) -> None:
    path = make_clip("snap.mp4", num_frames=60)  # key frames are 0, 10, 20, ...
    view = View(start_s=11 / 30, end_s=49 / 30)
    clip = read_clip(path, num_frames=4, view=view, frame_snap=0.49)
    assert clip.frame_indices[0] >= 11
    assert clip.frame_indices[-1] <= 48
    assert clip.frame_indices != read_clip(path, num_frames=4, view=view).frame_indices


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start_s": -1}, "start_s is -1: give seconds of the clip"),
        ({"start_s": float("nan")}, "start_s is nan"),
        ({"end_s": "3"}, "end_s is '3'"),
        ({"end_s": True}, "end_s is True"),
        ({"start_s": 3, "end_s": 3}, "the end must come after the start"),
        ({"times_s": (3, 1)}, r"times_s fall: \[3, 1\]"),
        ({"times_s": (1, float("inf"))}, "times_s is inf"),
        ({"times_s": (1,), "end_s": 2}, "times_s stand beside start_s or end_s"),
        ({"frames_fps": 0}, "frames_fps is 0: give a number above 0"),
    ],
)
def test_a_view_that_cannot_be_meant_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        View(**values)


def test_the_nearest_view_wins() -> None:
    record, data_set = View(start_s=1.0, num_frames=3), View(num_frames=9, frame_size=512, end_s=7)
    seen = record.filled_from(data_set)
    assert seen == View(start_s=1.0, num_frames=3, frame_size=512)
    settings = seen.over(ClipSettings(frame_size=256, num_frames=8, sampler="segments"))
    assert settings == ClipSettings(frame_size=512, num_frames=3, sampler="segments")
    assert View.from_dict(seen.as_dict()) == seen
    times = View(times_s=(1.0, 2.0))
    assert View.from_dict(times.as_dict()) == times
    with pytest.raises(ArgumentError, match="no multiple of 64"):
        View(frame_size=100).over(settings)


def test_a_view_of_a_whole_clip_changes_nothing(tmp_path: Path, make_clip: MakeClip) -> None:
    path = make_clip("whole.mp4")
    plain, viewed = read_clip(path, num_frames=5), read_clip(path, num_frames=5, view=View(end_s=1))
    assert plain.frame_indices == viewed.frame_indices


@pytest.mark.parametrize(
    ("view", "time_crop", "expected"),
    [
        (View(), (0.0, 1.0), [0, 4, 9]),
        (View(), (0.2, 1.0), [2, 5, 9]),
        (View(), (0.1, 0.9), [1, 4, 8]),
        (View(), (0.0, 0.8), [0, 3, 7]),
        (View(start_s=1.0, end_s=2.0), (0.0, 0.5), [4, 4, 5]),
        (View(times_s=(0.0, 2.0)), (0.5, 1.0), [0, 8]),
    ],
)
def test_a_crop_in_time_is_of_what_the_view_shows(
    view: View, time_crop: tuple[float, float], expected: list[int]
) -> None:
    assert shown_frames(TEN, view, time_crop=time_crop, num_frames=3).tolist() == expected


def test_instants_are_told_in_seconds_of_the_clip() -> None:
    assert shown_instants_s(TEN, View(), num_frames=3) == (0.0, 1.125, 2.25)
    stretch = View(start_s=1.0, end_s=2.0)
    assert shown_instants_s(TEN, stretch, num_frames=3) == (1.0, 1.375, 1.75)
    middles = shown_instants_s(TEN, stretch, num_frames=2, sampler="segments")
    assert middles == (1.25, 1.75)
    assert shown_instants_s(TEN, View(times_s=(0.1, 0.7)), num_frames=9) == (0.1, 0.7)
    assert shown_instants_s(UNEVEN, View(), num_frames=2) == (0.0, UNEVEN.starts[-1])
    with pytest.raises(OutsideClipError, match=r"the frame at 9 s.*ends at 2\.50 s"):
        shown_instants_s(TEN, View(times_s=(9.0,)), num_frames=1)
