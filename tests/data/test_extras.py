"""What rows say beside their conversation is read, or refused with its name."""

from __future__ import annotations

from typing import Any

import pytest

from flipbook.data.extras import Extras, read_clip_view, read_extras
from flipbook.errors import RecordError
from flipbook.video.view import WHOLE, View

ALL: dict[str, Any] = {
    "task": "order",
    "kind": "multiple_choice",
    "options": ["red", "blue", 3],
    "answer": "3",
    "references": ["three"],
    "spans": [[0, 1.5], [2, 2]],
    "group": 17,
    "split": "val",
}


def test_all_that_a_row_may_say() -> None:
    found = read_extras(ALL | {"colour": "ignored"}, "r")
    assert found == Extras(
        task="order",
        kind="multiple_choice",
        options=("red", "blue", "3"),
        answer="3",
        references=("three",),
        spans=((0.0, 1.5), (2.0, 2.0)),
        group="17",
        split="validation",
    )
    assert read_extras(found.as_dict(), "r") == found
    assert Extras().as_dict() == {}
    assert read_extras({"task": None, "spans": [1, 2]} | {"spans": [[1, 2]]}, "r").task is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "opne"}, "'kind' is 'opne'; known are open, .* Did you mean 'open'"),
        ({"kind": ["open"]}, "'kind' is .'open'.; known"),
        ({"options": None}, "is of kind multiple_choice and has no 'options'; add them"),
        ({"options": "red"}, "'options' is 'red'; it must be a list of texts"),
        ({"answer": "green"}, "'answer' is 'green', which is none of its options .*write the text"),
        ({"answer": True}, "'answer' is True; it must be text"),
        ({"references": [None]}, "'references' is None; it must be text"),
        ({"options": ["red", " ", "3"]}, "option 2 under 'options' is blank; write its words"),
        ({"task": "mean"}, "'task' is 'mean', the name under which the average .* another name"),
        ({"task": 7}, "'task' is 7; it must be text"),
        ({"group": "half \ud83c"}, "'group' is .*it must be text"),
        ({"split": "trian"}, "'split' is 'trian'; known are .* Did you mean 'train'"),
        ({"split": 3}, "'split' is 3; known"),
        ({"spans": [[2, 1]]}, "'spans' holds .2, 1.; a span is a list of two instants"),
        ({"spans": [[0, float("nan")]]}, "'spans' holds"),
        ({"spans": 3}, "'spans' holds 3"),
        ({"spans": [["0", "1"]]}, "'spans' holds"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=f"record r: .*{message}"):
        read_extras(ALL | changes, "r")


def test_how_the_clips_of_a_row_are_read() -> None:
    row = {"clip": {"num_frames": 4, "sampler": "fps", "frame_size": 512, "frames_fps": 2}}
    assert read_clip_view(row, "r") == View(
        num_frames=4, sampler="fps", frame_size=512, frames_fps=2
    )
    assert read_clip_view({}, "r") is WHOLE
    assert read_clip_view({"clip": "P01_101"}, "r") is WHOLE  # a name, as other files have it
    with pytest.raises(RecordError, match="'clip' holds 'start_s'; known are num_frames"):
        read_clip_view({"clip": {"start_s": 1}}, "r")
