"""What is a model asked, and what would be right?

    Records  ->  AskedQuestions: one for each answer that a record gives, in order

A question is every assistant turn with words in it; the turns before it are shown as they stand in
the record. What a record says beside its conversation (kind, options, spans, ...) belongs to its
last question, where it has several; the others are open ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flipbook.data.extras import Extras
from flipbook.data.records import Record, Turn
from flipbook.data.turns import Media

OPEN = "open"
MULTIPLE_CHOICE = "multiple_choice"
BETWEEN_VIDEOS = " + "


@dataclass(frozen=True)
class AskedQuestion:
    """One answer to be given: a conversation up to, and with, the assistant turn that answers it.

    Attributes:
        record_id: of the record that asks.
        task: scores are given for each.
        turns: the conversation; the last turn is the answer that the record gives.
        number: which question of its record, from 1.
        extras: what the record says of it; empty for all but the last of a record.

    Raises:
        ValueError: `turns` does not end with an assistant turn.
    """

    record_id: str
    task: str | None
    turns: tuple[Turn, ...]
    number: int = 1
    extras: Extras = Extras()

    def __post_init__(self) -> None:
        if not self.turns or self.turns[-1].role != "assistant":
            raise ValueError(f"question of {self.record_id} does not end with an assistant turn")

    @property
    def key(self) -> tuple[str, int]:
        """What no other question of a data set has."""
        return self.record_id, self.number

    @property
    def kind(self) -> str:
        """One of `flipbook.data.extras.KINDS`; what names none is open, or has options."""
        return self.extras.kind or (MULTIPLE_CHOICE if self.extras.options else OPEN)

    @property
    def text(self) -> str:
        """The words of the last user turn, without its media."""
        asked = [turn for turn in self.turns if turn.role == "user"]
        return asked[-1].text.strip() if asked else ""

    @property
    def reference(self) -> str:
        """The answer that the record gives."""
        return self.turns[-1].text.strip()

    @property
    def references(self) -> tuple[str, ...]:
        """All right answers, each once, the record's own first."""
        return tuple(dict.fromkeys((self.reference, *self.extras.references)))

    @property
    def options(self) -> tuple[str, ...]:
        """The answers among which one is right, without letters."""
        return self.extras.options

    @property
    def media(self) -> tuple[Media, ...]:
        """The videos and images that are shown, in the order of their places."""
        return tuple(item for turn in self.turns for item in turn.media)

    @property
    def video(self) -> str:
        """What it shares with other questions about the same source: its group, or its files."""
        if self.extras.group is not None:
            return self.extras.group
        return BETWEEN_VIDEOS.join(item.path for item in self.media) or self.record_id


def questions_of(records: Iterable[Record]) -> tuple[AskedQuestion, ...]:
    """Return every question of the records, in order."""
    return tuple(question for record in records for question in _questions_of(record))


def _questions_of(record: Record) -> list[AskedQuestion]:
    group = Extras(group=record.extras.group)
    asked = [
        turns[: place + 1]
        for turns in record.conversations
        for place, turn in enumerate(turns)
        if turn.role == "assistant" and turn.text.strip()
    ]
    return [
        AskedQuestion(
            record.id, record.task, turns, number, record.extras if number == len(asked) else group
        )
        for number, turns in enumerate(asked, start=1)
    ]


def choose_questions(
    questions: Sequence[AskedQuestion], limit: int | None
) -> tuple[AskedQuestion, ...]:
    """Return at most `limit` questions, as even over the tasks as can be, in their order.

    Inside a task they are spread evenly from first to last, so a file sorted by clip or by answer
    is not judged by its beginning. None and a limit that reaches all return all.
    """
    if limit is None or limit >= len(questions):
        return tuple(questions)
    by_task: dict[str | None, list[int]] = {}
    for place, question in enumerate(questions):
        by_task.setdefault(question.task, []).append(place)
    shares = _even_shares([len(places) for places in by_task.values()], limit)
    chosen = [
        places[step * len(places) // share]
        for places, share in zip(by_task.values(), shares, strict=True)
        for step in range(share)
    ]
    return tuple(questions[place] for place in sorted(chosen))


def with_short_video_names(questions: Sequence[AskedQuestion]) -> tuple[AskedQuestion, ...]:
    """Return the questions with groups in place of files, which begin behind what all share.

    A report then tells videos apart without telling where they lie.
    """
    paths = sorted({item.path for question in questions for item in question.media})
    shared = os.path.dirname(paths[0]) if len(paths) == 1 else os.path.commonpath(paths or ["."])

    def named(question: AskedQuestion) -> AskedQuestion:
        if question.extras.group is not None or not question.media:
            return question
        names = [os.path.relpath(item.path, shared) for item in question.media]
        return replace(question, extras=replace(question.extras, group=BETWEEN_VIDEOS.join(names)))

    return tuple(named(question) for question in questions)


def _even_shares(sizes: Sequence[int], limit: int) -> list[int]:
    """Return how many to take of each group: all of the small ones, the rest evenly.

    sizes 2, 10, 10 and a limit of 15  ->  2, 7, 6
    """
    shares = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda group: sizes[group])
    left = limit
    for rank, group in enumerate(order):
        groups_left = len(sizes) - rank
        shares[group] = min(sizes[group], -(-left // groups_left))
        left -= shares[group]
    return shares
