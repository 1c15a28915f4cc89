"""What is there to see of one question: its frames, and what each row answered?

gallery.json, predictions by row  ->  Card
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flipbook.evaluate.gallery import FRAME_PX
from flipbook.evaluate.page.files import Line
from flipbook.evaluate.page.numbers import clock, in_words, number
from flipbook.evaluate.page.verdicts import verdict_of
from flipbook.evaluate.rows import ROWS, TUNED

FIRST_ROWS = ("untuned", TUNED, "shuffled")  # are shown at once, the others when asked for


@dataclass(frozen=True)
class CardFrame:
    """A picture, and when it is on display, in words."""

    uri: str
    time: str
    width: int
    height: int


@dataclass(frozen=True)
class CardAnswer:
    """What one row answered.

    Attributes:
        verdict: right, partly or wrong.
        is_extra: it is shown when all rows are asked for.
    """

    row: str
    name: str
    answer: str
    verdict: str
    value: str
    is_extra: bool


@dataclass(frozen=True)
class CardOption:
    """One of the answers to choose from.

    Attributes:
        log_likelihood: in words.
        percent: how likely it is beside the most likely one, which has 100.
    """

    text: str
    log_likelihood: str
    percent: float
    is_right: bool
    is_chosen: bool


@dataclass(frozen=True)
class Card:
    """All that is shown of a question.

    Attributes:
        facts: of its clip, in a few words.
        fault: why no frames are shown; empty where they are.
        references: all right answers.
        options: the most likely ones, as the tuned model sees them.
    """

    record_id: str
    number: int
    task: str
    kind: str
    question: str
    references: tuple[str, ...]
    answers: tuple[CardAnswer, ...]
    options: tuple[CardOption, ...]
    frames: tuple[CardFrame, ...]
    facts: str
    fault: str

    @property
    def verdict(self) -> str:
        """That of the tuned model."""
        return next(answer.verdict for answer in self.answers if answer.row == TUNED)


def cards_of(
    gallery: Mapping[str, Any] | None, predictions: Mapping[str, Sequence[Line]]
) -> tuple[Card, ...]:
    """Return a card for each question of the gallery that the tuned model was asked."""
    items = (gallery or {}).get("items", ())
    wanted = {(item["record_id"], item["number"]) for item in items}
    found: dict[tuple[str, int], dict[str, Line]] = {key: {} for key in wanted}
    for row in ROWS:
        for line in predictions.get(row, ()):
            key = line["record_id"], line["number"]
            if key in wanted:
                found[key][row] = line
    by_item = ((item, found[item["record_id"], item["number"]]) for item in items)
    return tuple(_card(item, lines) for item, lines in by_item if TUNED in lines)


def _card(item: Mapping[str, Any], lines: Mapping[str, Line]) -> Card:
    tuned = lines[TUNED]
    return Card(
        record_id=tuned["record_id"],
        number=tuned["number"],
        task=tuned.get("task") or "",
        kind=in_words(tuned["kind"]),
        question=tuned["question"],
        references=tuple(tuned.get("references") or (tuned["reference"],)),
        answers=tuple(
            CardAnswer(
                row,
                in_words(row),
                line["answer"],
                verdict_of(line["value"]),
                number(line["value"]),
                is_extra=row not in FIRST_ROWS,
            )
            for row, line in lines.items()
        ),
        options=_options(tuned),
        frames=tuple(_frame(frame) for frame in item["frames"]),
        facts=_facts(item),
        fault=item.get("fault", ""),
    )


def _options(line: Line) -> tuple[CardOption, ...]:
    ranked = line.get("ranked") or ()
    best = max((value for _, value in ranked), default=0.0)
    return tuple(
        CardOption(
            text,
            number(value),
            100 * math.exp(value - best),
            is_right=text == line.get("right_option"),
            is_chosen=text == line.get("choice"),
        )
        for text, value in ranked
    )


def _frame(frame: Mapping[str, Any]) -> CardFrame:
    return CardFrame(
        f"data:image/jpeg;base64,{frame['jpeg']}",
        "" if frame.get("time_s") is None else clock(frame["time_s"]),
        frame.get("width", FRAME_PX),
        frame.get("height", FRAME_PX),
    )


def _facts(item: Mapping[str, Any]) -> str:
    num_shown = len(item["frames"])
    num_frames = item.get("num_frames", num_shown)
    told = ["1 frame" if num_frames == 1 else f"{num_frames} frames"]
    if num_shown < num_frames:
        told.append(f"{num_shown} of them here, spread evenly")
    if item.get("duration_s") is not None:
        told.append(f"clip of {clock(item['duration_s'])}")
    return ", ".join(told)
