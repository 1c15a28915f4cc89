"""Does every layout give as many features as it promises places for?"""

from __future__ import annotations

import pytest
import torch

from flipbook.errors import ArgumentError
from flipbook.video.frames import PX_PER_TOKEN
from flipbook.video.layouts import LAYOUTS, num_places, num_pooled, slow_places
from flipbook.video.settings import ClipSettings, only_here

NUM_FRAMES, SIDE, SLOW = 5, 256, 2


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("frames", (16,) * 5),
        ("grid", (16,)),
        ("pooled", (4,) * 5),
        ("spatio_temporal", (21,)),
        ("slow_fast", (4, 4, 4, 4, 4, 16, 16)),
    ],
)
def test_places_and_their_tokens(name: str, tokens: tuple[int, ...]) -> None:
    settings = ClipSettings(frame_size=SIDE, layout=name)
    assert settings.tokens_of_clip(NUM_FRAMES) == tokens


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_the_tower_sees_gives_that_many_tokens(name: str) -> None:
    layout = LAYOUTS[name]
    side = layout.read_px(NUM_FRAMES, SIDE)
    frames = torch.randint(256, (NUM_FRAMES, 3, side, side), dtype=torch.uint8)
    parts = layout.lay(frames, SIDE, SLOW)
    assert len(parts) == layout.num_parts
    assert all(part.dtype == torch.uint8 for part in parts)
    counts = [(len(part), (part.shape[-1] // PX_PER_TOKEN) ** 2) for part in parts]
    promised = layout.tokens(NUM_FRAMES, (SIDE // PX_PER_TOKEN) ** 2, SLOW)
    assert sum(num_places(frames, layout.pooling) for frames, _ in counts) == len(promised)
    assert sum(num_pooled(*one, layout.pooling) for one in counts) == sum(promised)


def test_slow_frames_are_the_very_frames_of_the_clip() -> None:
    frames = torch.randint(256, (5, 3, 128, 128), dtype=torch.uint8)
    fast, slow = LAYOUTS["slow_fast"].lay(frames, 128, 3)
    assert fast.shape == (5, 3, 64, 64)
    assert torch.equal(slow, frames[[0, 2, 4]])
    assert slow_places(8, slow_frames=2) == [0, 7]
    assert slow_places(1, slow_frames=2) == [0, 0]
    assert slow_places(8, slow_frames=1) == [0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"layout": "gird"},
            "layout 'gird' is unknown; known are frames, grid.*Did you mean 'grid'",
        ),
        ({"layout": "pooled"}, "pooled halves the sides.*192 px.*multiple of 128: give 128 or 256"),
        ({"layout": "slow_fast"}, "slow_fast halves the sides of frames"),
        ({"slow_frames": 0}, "slow_frames is 0: give a whole number from 1"),
        ({"layout": "grid", "timestamps": True}, "grid does not have.*or take frames, pooled"),
        ({"layout": "grid", "num_frames": 40_000}, "40000 frames have no room in a grid of 192 px"),
    ],
)
def test_settings_that_no_layout_can_follow_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        ClipSettings(**{"frame_size": 192} | changes)  # type: ignore[arg-type]


def test_other_programs_do_not_follow_a_layout() -> None:
    assert only_here(ClipSettings(frame_size=128)) == []
    assert only_here(ClipSettings(frame_size=128, layout="pooled")) == ["--frame_layout pooled"]
