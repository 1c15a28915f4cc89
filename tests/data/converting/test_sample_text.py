"""A record as a person reads it."""

from __future__ import annotations

from pathlib import Path

from flipbook.data.converting.sample_text import sample_text
from flipbook.data.extras import Extras
from flipbook.data.records import Record
from flipbook.data.turns import Media, Turn
from flipbook.video.view import View

CLIP = Media("video", "/d/clips/a.mp4", view=View(start_s=3, end_s=9.5, num_frames=4))
FRAMES = Media("video", "/d/f", ("/d/f/1.jpg", "/d/f/2.jpg"), View(frames_fps=2.0))


def test_all_of_a_record() -> None:
    turns = (
        Turn("system", ("Be brief.",)),
        Turn("user", (CLIP, FRAMES, "What?\nA. run\nB. jump")),
        Turn("assistant", ("A",)),
    )
    extras = Extras(kind="multiple_choice", task="t", options=("run", "jump"), answer="run")
    assert sample_text(Record("r", (turns,), extras), folder=Path("/d")) == (
        "r (multiple_choice, t)\n"
        "  system     Be brief.\n"
        "  video      clips/a.mp4, 3 s to 9.5 s, num_frames 4\n"
        "  video      f, 2 pictures, frames_fps 2.0\n"
        "  user       What?\n"
        "             A. run\n"
        "             B. jump\n"
        "  assistant  A\n"
        "  right is   run"
    )


def test_long_records_are_shortened_and_say_so() -> None:
    turn = (Turn("user", ("x" * 400,)), Turn("assistant", ("Yes.",)))
    text = sample_text(Record("r", (turn * 5, turn)), folder=Path("/elsewhere"))
    assert "x... (400 characters)" in text
    assert "... and 4 turns more" in text
    assert "... and 1 conversations more" in text


def test_control_codes_do_not_reach_the_terminal() -> None:
    turns = (Turn("user", ("a\x1b[2Jb\nc\td",)), Turn("assistant", ("é ok",)))
    text = sample_text(Record("r", (turns,)), folder=Path("/d"))
    assert "a\\x1b[2Jb\n             c\\td" in text
    assert "assistant  é ok" in text


def test_media_elsewhere_are_named_in_full() -> None:
    turns = (
        Turn("user", (Media("image", "/e/c.png", view=View(start_s=1)),)),
        Turn("assistant", ("A",)),
    )
    text = sample_text(Record("r", (turns,)), folder=Path("/d"))
    assert "  image      /e/c.png, 1 s to the end" in text
