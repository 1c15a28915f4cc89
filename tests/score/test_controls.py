"""Does each control take away exactly the evidence that it names?"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from flipbook.data.extras import Extras
from flipbook.data.records import Media, Turn
from flipbook.score.controls import (
    CONTROLS,
    ORDERS,
    in_order,
    with_other_clips,
    without_media,
)
from flipbook.score.questions import AskedQuestion


def numbered_frames(num_frames: int) -> Tensor:
    """Frame t has the value t everywhere, so a value proves which frame it is."""
    values = torch.arange(num_frames, dtype=torch.uint8).view(-1, 1, 1, 1)
    return values.expand(num_frames, 3, 64, 64).contiguous()


def order_of(frames: Tensor) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in frames]


def ordered(control: str, frames: Tensor, record_id: str = "a") -> list[int]:
    return order_of(in_order(control, frames, record_id=record_id))


def test_full_reversed_and_single_frame() -> None:
    frames = numbered_frames(5)
    assert ordered("full", frames) == [0, 1, 2, 3, 4]
    assert ordered("reversed", frames) == [4, 3, 2, 1, 0]
    assert ordered("single_frame", frames) == [2] * 5
    for control in set(CONTROLS) - set(ORDERS):
        assert ordered(control, frames) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("num_frames", [0, 1, 2, 8])
def test_an_order_keeps_shape_and_dtype_and_leaves_its_input_alone(
    name: str, num_frames: int
) -> None:
    frames = numbered_frames(num_frames)
    changed = in_order(name, frames, record_id="a")
    assert changed.shape == frames.shape
    assert changed.dtype == torch.uint8
    assert order_of(frames) == list(range(num_frames))


@pytest.mark.parametrize("num_frames", [2, 3, 8])
def test_shuffled_is_a_permutation_and_never_the_identity(num_frames: int) -> None:
    frames = numbered_frames(num_frames)
    for number in range(200):
        order = ordered("shuffled", frames, f"record {number}")
        assert sorted(order) == list(range(num_frames))
        assert order != list(range(num_frames))


def test_shuffled_depends_on_the_record_alone() -> None:
    frames = numbered_frames(8)
    orders = [ordered("shuffled", frames, f"record {i}") for i in range(20)]
    torch.manual_seed(1)
    again = [ordered("shuffled", frames, f"record {i}") for i in range(20)]
    assert orders == again
    assert len({tuple(order) for order in orders}) > 15


def test_shuffled_changes_a_clip_that_repeats_frames() -> None:
    repeated = numbered_frames(2)[[0, 0, 0, 1]]
    for number in range(50):
        assert ordered("shuffled", repeated, f"record {number}") != [0, 0, 0, 1]


def test_shuffled_returns_a_still_clip_as_it_is() -> None:
    assert ordered("shuffled", numbered_frames(1)[[0, 0, 0]]) == [0, 0, 0]


def asked(number: int, *media: Media, task: str = "t", group: str | None = None) -> AskedQuestion:
    turns = (Turn("user", (*media, "\nWhich way?")), Turn("assistant", ("left",)))
    return AskedQuestion(f"r{number}", task, turns, 1, Extras(group=group))


def clip(number: int) -> Media:
    return Media("video", f"/clips/{number}.mp4")


def test_another_clip_is_of_the_task_and_never_the_own_source() -> None:
    questions = [asked(n, clip(n // 2), task="ab"[n % 2]) for n in range(40)]
    others = with_other_clips(questions)
    of_task: dict[str | None, set[Media]] = {}
    for question in questions:
        of_task.setdefault(question.task, set()).update(question.media)
    drawn = set()
    for question, other in zip(questions, others, strict=True):
        assert other is not None
        assert other.media != question.media
        assert set(other.media) <= of_task[question.task]
        assert (other.text, other.key) == (question.text, question.key)
        drawn.add(other.media)
    assert len(drawn) > 8  # not the same for all
    assert others == with_other_clips(questions)


def test_another_clip_comes_from_another_group_and_is_of_the_same_kinds() -> None:
    picture = Media("image", "/a.png")
    one_group = [asked(0, clip(0), group="film"), asked(1, clip(1), group="film")]
    assert with_other_clips(one_group) == [None, None]
    mixed = [asked(0, clip(0)), asked(1, picture), asked(2, clip(2), task="other"), asked(3)]
    first, second, third, words = with_other_clips(mixed)
    assert first is not None
    assert first.media == (clip(2),)  # the own task has no other
    assert third is not None
    assert third.media == (clip(0),)
    assert second is None
    assert words is None


def test_another_clip_is_none_of_those_that_are_shown() -> None:
    questions = [asked(n, clip(0), clip(n)) for n in range(1, 6)]
    questions += [asked(9, clip(7), clip(8))]
    others = with_other_clips(questions)
    for question, other in zip(questions, others, strict=True):
        assert other is not None
        assert not set(other.media) & set(question.media)
    assert with_other_clips(questions[:5]) == [None] * 5  # all show the first clip


def test_a_question_in_words_alone_keeps_its_words() -> None:
    question = without_media(asked(0, clip(0)))
    assert question is not None
    assert question.media == ()
    assert question.turns[0].text == "Which way?"
    silent = AskedQuestion("a", None, (Turn("user", (clip(0),)), Turn("assistant", ("left",))))
    assert without_media(silent) is None
