"""How is a question of the suite written down?

    rivals, the movie that is shown, its file  ->  rows: words, multiple choice, or both

    words    "Which way does the red circle move?"                      "left"
    choice   "... move?\\nA. right\\nB. left\\nAnswer with ..."             "B"

The options are the rivals' answers: each of them would be right about the same frames in another
order. A row of the second form has a task of its own, `direction_choice` beside `direction`, since
the two have different chance levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flipbook.data.formats.prompts import choice_question, letter_of
from flipbook.data.generated.movies import Movie, Question
from flipbook.data.generated.scenes import SUITE_TASKS

WORDS, CHOICE, BOTH = "words", "choice", "both"
FORMS: dict[str, tuple[str, ...]] = {WORDS: (WORDS,), CHOICE: (CHOICE,), BOTH: (WORDS, CHOICE)}
CHOICE_ENDING = "_choice"
KINDS = {"count": "count", "bounces": "count", "span": "when"}  # of questions; others are open

_DRAWS_OPTIONS = 2  # keeps these draws apart from those of movies and stills

Row = dict[str, Any]


def rows_about(
    path: str, *, task: str, rivals: tuple[Movie, ...], shown: int, form: str, seed: int
) -> list[Row]:
    """Return the rows about one clip.

    Args:
        path: of the clip, as the manifest has it.
        task: one of `SUITE_TASKS`.
        rivals: as `make_rivals` returns them.
        shown: which of them the clip shows.
        form: one of `FORMS`.
        seed: of the rivals; the order of options depends on it.
    """
    rows = []
    for number, question in enumerate(rivals[shown].questions):
        name = f"{Path(path).stem}-{number}"
        for one_form in FORMS[form]:
            if one_form == WORDS:
                rows.append(_row(name, path, question.text, question.answer, _in_words(question)))
                continue
            numbers = [seed, list(SUITE_TASKS).index(task), number, _DRAWS_OPTIONS]
            options = _mixed(options_of(rivals, number), numbers)
            extras = {
                "task": f"{question.task}{CHOICE_ENDING}",
                "kind": "multiple_choice",
                "options": options,
                "answer": question.answer,
            }
            text = choice_question(question.text, options)
            letter = letter_of(options.index(question.answer))
            rows.append(_row(f"{name}{CHOICE_ENDING}", path, text, letter, extras))
    return rows


def options_of(rivals: tuple[Movie, ...], number: int) -> tuple[str, ...]:
    """Return the answers of the rivals to their question `number`, each once."""
    return tuple(dict.fromkeys(movie.questions[number].answer for movie in rivals))


def tasks_asked(tasks: Sequence[str], form: str) -> list[str]:
    """Return the tasks that rows about some tasks have in a form."""
    endings = ["" if one_form == WORDS else CHOICE_ENDING for one_form in FORMS[form]]
    return [f"{task}{ending}" for ending in endings for task in tasks]


def task_of(name: str) -> str:
    """Return the task of `SUITE_TASKS` that a row's task belongs to."""
    return name.removesuffix(CHOICE_ENDING)


def _in_words(question: Question) -> Row:
    extras: Row = {"task": question.task}
    if question.task in KINDS:
        extras["kind"] = KINDS[question.task]
    if question.spans:
        extras["spans"] = [list(span) for span in question.spans]
    return extras


def _mixed(options: tuple[str, ...], numbers: list[int]) -> list[str]:
    order = np.random.default_rng(numbers).permutation(len(options))
    return [options[place] for place in order]


def _row(name: str, path: str, text: str, answer: str, extras: Row) -> Row:
    return {
        "id": name,
        "video": path,
        "conversations": [
            {"from": "human", "value": f"<video>\n{text}"},
            {"from": "gpt", "value": answer},
        ],
        **extras,
        "group": Path(path).stem,
    }
