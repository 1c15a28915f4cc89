"""Does a model choose the right one of several answers, wherever it stands?

accuracy             the right option is the most likely one   (headline)
generated_accuracy   the generated words name the right option
unparsed             the generated words name no option, or could mean two
consistent           the same option is the most likely one when they stand in another order
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from flipbook.data.formats.prompts import MOST_OPTIONS, letter_of
from flipbook.data.turns import Media, Turn
from flipbook.score.kinds.kind import Judgement, Kind
from flipbook.score.kinds.options import (
    chosen_option,
    lettered_reference,
    right_option,
    spoken_options,
)
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion

__all__ = ["CHOICE", "reordered", "spoken_options"]

_LINES = ("{letter}. {option}", "{letter}) {option}", "({letter}) {option}")


def reordered(question: AskedQuestion) -> tuple[AskedQuestion, tuple[int, ...]] | None:
    """Return a question with its options in another order, and for each new place the old one.

    The order is drawn from the record's name and the question's number, and is never the same one:
    two options change places. The reference's letter follows the right option; further references
    are left out, for they may name letters, too. None where there are fewer than two options, or
    where their lines, as `choice_question` writes them, do not stand once in the last user turn.

    Raises:
        RecordError: the record does not tell which option is right.
    """
    place = max((n for n, turn in enumerate(question.turns) if turn.role == "user"), default=None)
    if place is None or not 2 <= len(question.options) <= MOST_OPTIONS:
        return None
    order = _other_order(question)
    options = tuple(question.options[old] for old in order)
    parts = _with_lines(question.turns[place].parts, question.options, options)
    if parts is None:
        return None
    turns = list(question.turns)
    turns[place] = Turn("user", parts)
    lettered = lettered_reference(question)
    if lettered is not None:
        moved = lettered.of(order.index(right_option(question)), lettered.text)
        turns[-1] = Turn("assistant", (moved,))
    extras = replace(question.extras, options=options, references=())
    return replace(question, turns=tuple(turns), extras=extras), order


def _other_order(question: AskedQuestion) -> tuple[int, ...]:
    name = f"{question.record_id}/{question.number}/"

    def drawn(place: int) -> bytes:
        return hashlib.sha256(f"{name}{place}".encode("utf-8", "surrogatepass")).digest()

    same = range(len(question.options))
    order = sorted(same, key=drawn)
    return tuple([*order[1:], order[0]] if order == list(same) else order)


def _with_lines(
    parts: Sequence[str | Media], old: Sequence[str], new: Sequence[str]
) -> tuple[str | Media, ...] | None:
    """Return a turn with the lines of other options; None if theirs are not there just once."""
    found = [
        (place, match, line)
        for place, part in enumerate(parts)
        if isinstance(part, str)
        for line in _LINES
        for match in re.finditer(rf"^{re.escape(_block(line, old))}$", part, re.MULTILINE)
    ]
    if len(found) != 1:
        return None
    place, match, line = found[0]
    text = match.string
    changed = text[: match.start()] + _block(line, new) + text[match.end() :]
    return (*parts[:place], changed, *parts[place + 1 :])


def _block(line: str, options: Sequence[str]) -> str:
    return "\n".join(
        line.format(letter=letter_of(place), option=option) for place, option in enumerate(options)
    )


def _judge(question: AskedQuestion, answer: Answer) -> Judgement:
    chosen = chosen_option(question, answer)
    measures = {
        "accuracy": float(chosen.choice == chosen.right),
        "generated_accuracy": float(chosen.named == chosen.right),
        "unparsed": float(chosen.named is None),
    }
    if answer.reordered_choice is not None:
        measures["consistent"] = float(answer.reordered_choice == chosen.choice)
    return Judgement(measures, chosen.right, chosen.choice)


CHOICE = Kind("accuracy", _judge, right=right_option)
