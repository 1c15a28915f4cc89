"""Does each control take away exactly the evidence that it names?"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from flipbook.evaluate.controls import CONTROLS, apply_control


def numbered_frames(num_frames: int) -> Tensor:
    """Frame t has the value t everywhere, so a value proves which frame it is."""
    values = torch.arange(num_frames, dtype=torch.uint8).view(-1, 1, 1, 1)
    return values.expand(num_frames, 3, 64, 64).contiguous()


def order_of(frames: Tensor) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in frames]


def test_full_reversed_single_frame_and_blank() -> None:
    frames = numbered_frames(5)
    orders = {name: order_of(CONTROLS[name](frames, "a")) for name in CONTROLS}
    assert orders["full"] == [0, 1, 2, 3, 4]
    assert orders["reversed"] == [4, 3, 2, 1, 0]
    assert orders["single_frame"] == [2] * 5
    assert orders["blank"] == [0] * 5


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("num_frames", [0, 1, 2, 8])
def test_a_control_keeps_shape_and_dtype_and_leaves_its_input_alone(
    name: str, num_frames: int
) -> None:
    frames = numbered_frames(num_frames)
    changed = apply_control(name, frames, frames_per_media=(num_frames,), record_id="a")
    assert changed.shape == frames.shape
    assert changed.dtype == torch.uint8
    assert order_of(frames) == list(range(num_frames))


@pytest.mark.parametrize("num_frames", [2, 3, 8])
def test_shuffled_is_a_permutation_and_never_the_identity(num_frames: int) -> None:
    frames = numbered_frames(num_frames)
    for number in range(200):
        order = order_of(CONTROLS["shuffled"](frames, f"record {number}"))
        assert sorted(order) == list(range(num_frames))
        assert order != list(range(num_frames))


def test_shuffled_depends_on_the_record_alone() -> None:
    frames = numbered_frames(8)
    orders = [order_of(CONTROLS["shuffled"](frames, f"record {i}")) for i in range(20)]
    torch.manual_seed(1)
    again = [order_of(CONTROLS["shuffled"](frames, f"record {i}")) for i in range(20)]
    assert orders == again
    assert len({tuple(order) for order in orders}) > 15


def test_shuffled_changes_a_clip_that_repeats_frames() -> None:
    repeated = numbered_frames(2)[[0, 0, 0, 1]]
    for number in range(50):
        assert order_of(CONTROLS["shuffled"](repeated, f"record {number}")) != [0, 0, 0, 1]


def test_shuffled_returns_a_still_clip_as_it_is() -> None:
    assert order_of(CONTROLS["shuffled"](numbered_frames(1)[[0, 0, 0]], "a")) == [0, 0, 0]


def test_frames_stay_in_their_own_clip() -> None:
    frames = numbered_frames(7)
    halves = (3, 4)
    flipped = apply_control("reversed", frames, frames_per_media=halves, record_id="a")
    assert order_of(flipped) == [2, 1, 0, 6, 5, 4, 3]
    mixed = order_of(apply_control("shuffled", frames, frames_per_media=halves, record_id="a"))
    assert sorted(mixed[:3]) == [0, 1, 2]
    assert mixed[:3] != [0, 1, 2]
    assert mixed[3:] != [3, 4, 5, 6]


def test_words_alone_stay_words_alone() -> None:
    assert len(apply_control("blank", numbered_frames(0), frames_per_media=(), record_id="a")) == 0


def test_wrong_number_of_frames_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3, 3\) frames do not add up to 7"):
        apply_control("full", numbered_frames(7), frames_per_media=(3, 3), record_id="a")
