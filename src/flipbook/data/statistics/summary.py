"""What do the records of some files say, and could one answer without looking?

    files -> Statistics: counts, lengths, frequent answers, questions that give theirs away

The majority answer of a task is what a model that never looks may say: "always 'left' is right in
0.31". A question gives its answer away where the answer stands in it, unless it offers a choice:
other options, or other answers of the same task, stand in it too.
"""

from __future__ import annotations

import os
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flipbook.data.media_folders import MediaFolders
from flipbook.data.record_ids import text_hash
from flipbook.data.records import Record, named_rows, record_of, survey
from flipbook.data.statistics.counted import CountedText, CountedTexts, Spread, by_count, spread_of
from flipbook.data.turns import Media, Turn
from flipbook.errors import RecordError

NONE = "none"  # name given to what a record does not say
NUM_FREQUENT = 5
MOST_WORDS = 5  # of answers that are looked for in their questions
_WORD = re.compile(r"\w+")

Words = tuple[str, ...]


@dataclass(frozen=True)
class AnswersOfTask:
    """What is answered in a task.

    Attributes:
        frequent: the most frequent ones that came more than once.
        majority: the share of the most frequent one, and so the score of saying nothing else.
    """

    total: int
    num_different: int
    frequent: tuple[CountedText, ...]
    majority: float


class GivenAway(NamedTuple):
    """A question in which its answer stands."""

    record_id: str
    question: str
    answer: str


@dataclass(frozen=True)
class Statistics:
    """What the records of some files say.

    Attributes:
        rejected: rows that are no records.
        groups: how many different ones are named.
        shown: records by what they show: "a video", "several media", "nothing", ...
        num_repeated: records that show and say the same as an earlier one.
        turns: conversations by how many questions they have.
        question_words, answer_words: of each question and answer.
        answers: by task.
        num_asked: questions with short answers, in which these were looked for.
        given_away: those of them in which the answer stands.
        media: every different clip and picture, in order.
    """

    num_records: int
    num_conversations: int
    rejected: tuple[RecordError, ...]
    num_groups: int
    num_without_group: int
    shown: Mapping[str, int]
    tasks: Mapping[str, int]
    kinds: Mapping[str, int]
    splits: Mapping[str, int]
    num_repeated: int
    turns: Mapping[int, int]
    question_words: Spread | None
    answer_words: Spread | None
    num_questions: int
    num_different_questions: int
    frequent_questions: tuple[CountedText, ...]
    answers: Mapping[str, AnswersOfTask]
    num_asked: int
    given_away: tuple[GivenAway, ...]
    media: tuple[Media, ...]


def read_statistics(
    paths: Sequence[str | os.PathLike[str]], *, image_folder: str | os.PathLike[str] | None = None
) -> Statistics:
    """Return what the records of some files say. No clip is opened.

    Raises:
        ManifestError: a file cannot be read.
        ArgumentError: `image_folder` is no folder.
    """
    tally = _Tally()
    for path in map(Path, paths):
        folders = MediaFolders(path, image_folder)
        for row in named_rows(path, survey(path)):
            try:
                tally.add(record_of(row, folders=folders))
            except RecordError as error:
                tally.rejected.append(error)
    return tally.finish()


class _Candidate(NamedTuple):
    task: str
    found: GivenAway
    words: Words


class _Tally:
    """What was counted so far."""

    def __init__(self) -> None:
        self.rejected: list[RecordError] = []
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)
        self._turns: Counter[int] = Counter()
        self._groups: set[int] = set()
        self._seen: set[int] = set()
        self._num = Counter[str]()
        self._question_words, self._answer_words = array("d"), array("d")
        self._questions = CountedTexts()
        self._answers: dict[str, CountedTexts] = defaultdict(CountedTexts)
        self._candidates: list[_Candidate] = []
        self._media: dict[tuple[str, tuple[str, ...]], Media] = {}

    def add(self, record: Record) -> None:
        extras = record.extras
        self._num["records"] += 1
        self._num["conversations"] += len(record.conversations)
        for name, value in (("task", extras.task), ("kind", extras.kind), ("split", extras.split)):
            self._counts[name][NONE if value is None else value] += 1
        if extras.group is None:
            self._num["without group"] += 1
        else:
            self._groups.add(text_hash(extras.group))
        self._counts["shown"][_shown(record.media)] += 1
        for item in record.media:
            self._media.setdefault((item.path, item.frames), item)
        key = text_hash(repr(record.conversations))
        self._num["repeated"] += key in self._seen
        self._seen.add(key)
        for turns in record.conversations:
            self._add_conversation(record, turns)

    def _add_conversation(self, record: Record, turns: Sequence[Turn]) -> None:
        pairs = list(_pairs(turns))
        self._turns[len(pairs)] += 1
        task = record.task or NONE
        is_single = len(pairs) == len(record.conversations) == 1
        for question, said in pairs:
            self._question_words.append(len(question.split()))
            self._answer_words.append(len(said.split()))
            self._questions.add(question)
            self._answers[task].add(said)
            right = record.extras.answer if is_single else None
            self._look_for(right or said, question, record, task=task)

    def _look_for(self, answer: str, question: str, record: Record, *, task: str) -> None:
        words = _words_of(answer)
        if not 0 < len(words) <= MOST_WORDS or len("".join(words)) < 2:
            return
        self._num["asked"] += 1
        asked = _words_of(question)
        others = [_words_of(option) for option in record.extras.options if option != answer]
        is_choice = bool(others) and all(_holds(asked, other) for other in others)
        if _holds(asked, words) and not is_choice:
            found = GivenAway(record.id, question.strip(), answer.strip())
            self._candidates.append(_Candidate(task, found, words))

    def finish(self) -> Statistics:
        known = {task: {_words_of(t) for t in a.repeated} for task, a in self._answers.items()}
        return Statistics(
            num_records=self._num["records"],
            num_conversations=self._num["conversations"],
            rejected=tuple(self.rejected),
            num_groups=len(self._groups),
            num_without_group=self._num["without group"],
            shown=by_count(self._counts["shown"]),
            tasks=by_count(self._counts["task"]),
            kinds=by_count(self._counts["kind"]),
            splits=by_count(self._counts["split"]),
            num_repeated=self._num["repeated"],
            turns=dict(sorted(self._turns.items())),
            question_words=spread_of(self._question_words),
            answer_words=spread_of(self._answer_words),
            num_questions=self._questions.total,
            num_different_questions=self._questions.num_different,
            frequent_questions=self._questions.most_frequent(NUM_FREQUENT),
            answers={task: _of_task(counted) for task, counted in self._answers.items()},
            num_asked=self._num["asked"],
            given_away=tuple(
                one.found for one in self._candidates if not _offers_others(one, known[one.task])
            ),
            media=tuple(self._media.values()),
        )


def _of_task(counted: CountedTexts) -> AnswersOfTask:
    frequent = counted.most_frequent(NUM_FREQUENT)
    majority = frequent[0].times if frequent else 1
    return AnswersOfTask(counted.total, counted.num_different, frequent, majority / counted.total)


def _shown(media: Sequence[Media]) -> str:
    if not media:
        return "nothing"
    kinds = sorted({item.kind for item in media})
    if len(media) == 1:
        return "a video" if kinds == ["video"] else "an image"
    return f"several: {' and '.join(f'{kind}s' for kind in kinds)}"


def _pairs(turns: Sequence[Turn]) -> Iterator[tuple[str, str]]:
    """Yield questions and answers."""
    spoken = [turn.text for turn in turns if turn.role != "system"]
    yield from zip(spoken[::2], spoken[1::2], strict=True)


def _offers_others(candidate: _Candidate, known: set[Words]) -> bool:
    """Return whether a question holds another answer of its task, which is no part of its own."""
    asked = _words_of(candidate.found.question)
    stretches = {
        asked[start : start + length]
        for length in range(1, MOST_WORDS + 1)
        for start in range(len(asked) - length + 1)
    }
    return any(not _holds(candidate.words, other) for other in stretches & known)


def _words_of(text: str) -> Words:
    return tuple(_WORD.findall(text.casefold()))


def _holds(words: Words, part: Words) -> bool:
    return f" {' '.join(part)} " in f" {' '.join(words)} "
