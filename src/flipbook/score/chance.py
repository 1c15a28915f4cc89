"""What would answers score that owe nothing to the clip?

    AskedQuestions  ->  expected headline value by task, and their mean

With options, one of them is drawn: 1 / their number. Without, the right answer to another question
of the same task and kind is dealt, which is what a model gives that has learned how answers look
and not what is shown.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from flipbook.score.kinds.table import KINDS
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion
from flipbook.score.scores import MEAN, NO_TASK

WITH_OPTIONS = ("multiple_choice", "classification")
MOST_PAIRED = 200  # questions of which every one is dealt the answer to every other
MOST_PAIRS = MOST_PAIRED**2  # about as many are drawn of more questions
SEED = 0


def chance_of(questions: Sequence[AskedQuestion]) -> dict[str, float]:
    """Return the expected headline value of random answers for each task, and under "mean".

    A task with a question to which there is no other of its kind, and no options, is left out: what
    a random answer would be is unknown. The mean is there where every task is.

    Up to 200 questions of a task and kind are all paired with each other, which is exact; of more,
    each is dealt the answers to as many others as make 40,000 pairs, drawn with a fixed seed.

    Raises:
        RecordError: a record does not tell what is right, as its kind needs it.
    """
    by_task: dict[str, list[AskedQuestion]] = {}
    for question in questions:
        by_task.setdefault(question.task or NO_TASK, []).append(question)
    values = {task: _expected(own) for task, own in by_task.items()}
    known = {task: value for task, value in values.items() if value is not None}
    if not known or len(known) < len(values):
        return known
    return {MEAN: math.fsum(known.values()) / len(known), **known}


def _expected(questions: Sequence[AskedQuestion]) -> float | None:
    """Return the expected value of random answers to the questions of one task."""
    by_kind: dict[str, list[AskedQuestion]] = {}
    for question in questions:
        by_kind.setdefault(question.kind, []).append(question)
    values: list[float] = []
    for kind, own in by_kind.items():
        if kind in WITH_OPTIONS:
            values += [1 / len(question.options) for question in own]
        elif len(own) > 1:
            values += [_dealt(question, answers) for question, answers in _answers_dealt(own)]
        else:
            return None
    return math.fsum(values) / len(values)


def _answers_dealt(
    questions: Sequence[AskedQuestion],
) -> Iterator[tuple[AskedQuestion, Counter[str]]]:
    """Yield each question, and how often which answer to another one is dealt to it."""
    references = [question.reference for question in questions]
    count = len(questions)
    if count <= MOST_PAIRED:
        all_of_them = Counter(references)
        for question in questions:
            yield question, all_of_them - Counter([question.reference])
        return
    rng = np.random.default_rng(SEED)
    num_dealt = max(MOST_PAIRS // count, 1)
    for place, question in enumerate(questions):
        steps = 1 + rng.choice(count - 1, size=num_dealt, replace=False)
        yield question, Counter(references[(place + step) % count] for step in steps)


def _dealt(question: AskedQuestion, answers: Counter[str]) -> float:
    """Return the mean value of answers, each as often as it is dealt."""
    kind = KINDS[question.kind]
    total = math.fsum(
        times * kind.judge(question, Answer(text)).measures[kind.headline]
        for text, times in answers.items()
    )
    return total / answers.total()
