"""What did the model answer to the same few questions while it learned?

lines of followed.jsonl  ->  Followed: a row for each question, a column for each step
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flipbook.evaluate.page.curves import thinned
from flipbook.evaluate.page.files import Line
from flipbook.evaluate.page.verdicts import verdict_of

MOST_STEPS = 10


@dataclass(frozen=True)
class Said:
    """An answer, and whether it was right, partly or wrong; empty where none was written down."""

    answer: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class FollowedQuestion:
    """A question with what was answered at each step."""

    question: str
    reference: str
    answers: tuple[Said, ...]


@dataclass(frozen=True)
class Followed:
    """Questions by steps.

    Attributes:
        num_steps: how many there are, of which `steps` are shown.
    """

    steps: tuple[int, ...]
    num_steps: int
    questions: tuple[FollowedQuestion, ...]


def followed_of(lines: Sequence[Line]) -> Followed | None:
    """Return what was answered over steps; None where nothing was written down."""
    if not lines:
        return None
    by_question: dict[tuple[str, int], dict[int, Line]] = {}
    for line in lines:
        by_question.setdefault((line["record_id"], line["number"]), {})[line["step"]] = line
    steps = sorted({line["step"] for line in lines})
    shown = tuple(int(step) for step, _ in thinned([(step, 0.0) for step in steps], MOST_STEPS))
    return Followed(shown, len(steps), tuple(_question(by, shown) for by in by_question.values()))


def _question(by_step: dict[int, Line], steps: Sequence[int]) -> FollowedQuestion:
    first = next(iter(by_step.values()))
    answers = [
        Said(by_step[step]["answer"], verdict_of(by_step[step]["value"]))
        if step in by_step
        else Said()
        for step in steps
    ]
    return FollowedQuestion(first["question"], first["reference"], tuple(answers))
