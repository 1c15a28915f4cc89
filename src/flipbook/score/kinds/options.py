"""Which option is right, how would each be said, and which one does an answer name?

    options ("a cat", "a dog"), reference "B"  ->  right: 1;  said: "A", "B"
    options ("a cat", "a dog"), answer "(b)"   ->  names 1
                                answer "A or B" ->  names none: nothing is guessed

An option is named by its letter alone (B, b, B., (B), B) or B:), by letter and text ("B. a dog"),
or by its text. Of a classification, letters name classes only where the record answers with one:
a class may be called "B".
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from flipbook.data.formats.prompts import MOST_OPTIONS, letter_of
from flipbook.data.parts import shown
from flipbook.errors import RecordError, TrainingError
from flipbook.model.generation import FINAL_PUNCTUATION, answers_match
from flipbook.score.prediction import Answer
from flipbook.score.questions import MULTIPLE_CHOICE, AskedQuestion

_LETTERED = re.compile(
    r"(?P<before>\(?)(?P<letter>[A-Za-z])(?P<after>\)?[.:]?)(?:(?P<gap>\s+)(?P<text>\S.*))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Lettered:
    """A letter as it is written, with the text behind it or without: "(B) a dog"."""

    before: str
    letter: str
    after: str
    gap: str
    text: str | None

    @classmethod
    def read(cls, words: str) -> Lettered | None:
        """Return what some words are; None for any other than a letter, alone or before a text."""
        match = _LETTERED.fullmatch(words.strip())
        if match is None:
            return None
        before, after, text = match["before"], match["after"], match["text"]
        is_open = bool(before) and not after.startswith(")")
        if is_open or (text is not None and not after):
            return None  # "A cat" begins with a word, not with a letter
        return cls(before, match["letter"], after, match["gap"] or "", text)

    def of(self, place: int, text: str | None) -> str:
        """Return the letter of a place, and a text if there is one, written in the same way."""
        letter = letter_of(place)
        named = f"{self.before}{letter.lower() if self.letter.islower() else letter}{self.after}"
        return named if text is None else f"{named}{self.gap}{text}"

    def place_among(self, options: Sequence[str]) -> int | None:
        """Return which option is named; None if there is none, or its text is another one."""
        place = string.ascii_uppercase.index(self.letter.upper())
        if place >= len(options) or len(options) > MOST_OPTIONS:
            return None
        if self.text is not None and not answers_match(self.text, options[place]):
            return None
        return place


@dataclass(frozen=True)
class Chosen:
    """Places among the options.

    Attributes:
        right: the right one.
        choice: the most likely one; where no likelihoods were taken, the one that is named.
        named: the one that the words of the answer name; None if they name none, or two.
    """

    right: int
    choice: int | None
    named: int | None


def chosen_option(question: AskedQuestion, answer: Answer) -> Chosen:
    """Return which option is right, and which ones an answer stands for.

    Of equally likely options the first is chosen. An answer without likelihoods chooses by its
    words.

    Raises:
        RecordError: the record does not tell which option is right.
        TrainingError: a likelihood is not a number.
        ValueError: there are not as many likelihoods as options.
    """
    values = answer.option_log_likelihoods
    if values and len(values) != len(question.options):
        raise ValueError(f"{len(values)} likelihoods for {len(question.options)} options")
    if any(math.isnan(value) for value in values):
        raise TrainingError(
            f"record {question.record_id}: the likelihoods of its options are {shown(list(values))}"
            "; the model computes what is not a number, so its weights are damaged."
        )
    named = named_option(question, answer.text)
    choice = max(range(len(values)), key=lambda place: values[place]) if values else named
    return Chosen(right_option(question), choice, named)


def right_option(question: AskedQuestion) -> int:
    """Return the place of the right option.

    It is told by the record's 'answer', or else by the reference: its letter or its text.

    Raises:
        RecordError: neither tells, or the two tell of different options.
    """
    told = _places_named(question, question.reference)
    answer = question.extras.answer
    if answer is not None:
        places = frozenset(n for n, text in enumerate(question.options) if text == answer)
        told = places & told if told else places
    if len(told) == 1:
        return next(iter(told))
    also = f" and its 'answer' is {answer!r}" if answer is not None else ""
    raise RecordError(
        question.record_id,
        f"does not tell which of its options {shown(list(question.options))} is right: its reply "
        f"is {question.reference!r}{also}; write the text of the right one under 'answer'",
    )


def named_option(question: AskedQuestion, words: str) -> int | None:
    """Return the place of the one option that some words name; None for none and for several.

    Where they could be the letter of one option and the text of another, they are what the record
    would say.

    Raises:
        RecordError: the record does not tell which option is right, and that would decide.
    """
    places = _places_named(question, words)
    if len(places) > 1:
        places = _places_of(words, spoken_options(question))
    return next(iter(places)) if len(places) == 1 else None


def spoken_options(question: AskedQuestion) -> tuple[str, ...]:
    """Return the words with which each option would be given by who answers as the record does.

        reference "B"         ->  "A", "B", "C"
        reference "(b)"       ->  "(a)", "(b)", "(c)"
        reference "B. a dog"  ->  "A. a cat", "B. a dog", "C. a hen"
        reference "A dog."    ->  "A cat.", "A dog.", "A hen."

    The right one is the reference itself, wherever that names an option; the options stand for
    themselves where it is a sentence of another kind.

    Raises:
        RecordError: the record does not tell which option is right.
    """
    right, options = right_option(question), question.options
    lettered = lettered_reference(question)
    if lettered is None:
        is_text = answers_match(question.reference, options[right])
        return _all_like(question.reference, right, options) if is_text else options
    if lettered.text is None:
        return tuple(lettered.of(place, None) for place in range(len(options)))
    texts = _all_like(lettered.text, right, options)
    return tuple(lettered.of(place, text) for place, text in enumerate(texts))


def lettered_reference(question: AskedQuestion) -> Lettered | None:
    """Return how the record names the right option by its letter; None where it does not.

    Raises:
        RecordError: the record does not tell which option is right.
    """
    lettered = Lettered.read(question.reference) if _may_use_letters(question) else None
    if lettered is None or lettered.place_among(question.options) != right_option(question):
        return None
    return lettered


def _may_use_letters(question: AskedQuestion) -> bool:
    return question.kind == MULTIPLE_CHOICE or not _places_of(question.reference, question.options)


def _places_named(question: AskedQuestion, words: str) -> frozenset[int]:
    """Return every option that some words could mean, by text or by letter."""
    places = _places_of(words, question.options)
    lettered = Lettered.read(words) if _may_use_letters(question) else None
    place = lettered.place_among(question.options) if lettered is not None else None
    return places if place is None else places | {place}


@lru_cache(maxsize=4096)  # many questions share their classes, and few answers are given
def _places_of(words: str, options: tuple[str, ...]) -> frozenset[int]:
    return frozenset(place for place, text in enumerate(options) if answers_match(words, text))


def _all_like(said: str, right: int, options: Sequence[str]) -> tuple[str, ...]:
    """Return all options written as the right one is said."""
    return tuple(
        said if place == right else _like(said, options[right], option)
        for place, option in enumerate(options)
    )


def _like(said: str, text: str, option: str) -> str:
    """Return an option with the first letter's case and the end that `said` gives to `text`."""
    if _end(said) != _end(text):
        option = option.rstrip(FINAL_PUNCTUATION) + _end(said)
    if said[:1] == text[:1]:
        return option
    first = option[:1].upper() if said[:1].isupper() else option[:1].lower()
    return first + option[1:]


def _end(text: str) -> str:
    return text[len(text.rstrip(FINAL_PUNCTUATION)) :]
