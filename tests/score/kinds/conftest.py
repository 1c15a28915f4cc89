"""The questions that are judged in the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flipbook.data.extras import Extras
from flipbook.data.turns import Media, Turn
from flipbook.score.questions import AskedQuestion

Ask = Callable[..., AskedQuestion]


@pytest.fixture(scope="session")
def ask() -> Ask:
    """Makes a question from its reference; `extras` are fields of Extras."""

    def made(
        reference: str, *, text: str = "What moves?", record_id: str = "r1", **extras: Any
    ) -> AskedQuestion:
        turns = (
            Turn("user", (Media("video", f"/clips/{record_id}.mp4"), text)),
            Turn("assistant", (reference,)),
        )
        return AskedQuestion(record_id, extras.get("task"), turns, extras=Extras(**extras))

    return made
