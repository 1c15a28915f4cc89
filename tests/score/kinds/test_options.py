"""Is the right option found, is it said as the record says it, and is no option ever guessed?"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from flipbook.errors import RecordError, TrainingError
from flipbook.score.kinds.options import (
    chosen_option,
    named_option,
    right_option,
    spoken_options,
)
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion

Ask = Callable[..., AskedQuestion]
PETS = ("a cat", "a dog", "a hen")


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("B", "a dog"),
        ("B", None),
        ("(b)", None),
        ("b.", None),
        ("B. a dog", None),
        ("A dog.", None),
        ("It is a dog, of course", "a dog"),
    ],
)
def test_the_right_option_is_told_by_answer_or_reference(
    ask: Ask, reference: str, answer: str | None
) -> None:
    assert right_option(ask(reference, options=PETS, answer=answer)) == 1


@pytest.mark.parametrize("reference", ["It is a dog", "D", "B. a cat", "a dog or a hen", "?"])
def test_a_record_that_does_not_tell_is_named(ask: Ask, reference: str) -> None:
    message = r"record r1: does not tell which of its options .*'a dog'.* write the text of the"
    with pytest.raises(RecordError, match=message):
        right_option(ask(reference, options=PETS))


def test_a_record_that_tells_two_things_is_named(ask: Ask) -> None:
    with pytest.raises(RecordError, match="its reply is 'A' and its 'answer' is 'a dog'"):
        right_option(ask("A", options=PETS, answer="a dog"))


def test_of_two_equal_texts_the_letter_tells(ask: Ask) -> None:
    assert right_option(ask("B", options=("cat", "cat"), answer="cat")) == 1
    with pytest.raises(RecordError, match="does not tell which of its options"):
        right_option(ask("cat", options=("cat", "cat"), answer="cat"))


@pytest.mark.parametrize(
    ("reference", "spoken"),
    [
        ("B", ("A", "B", "C")),
        ("b", ("a", "b", "c")),
        ("B.", ("A.", "B.", "C.")),
        ("(B)", ("(A)", "(B)", "(C)")),
        ("B)", ("A)", "B)", "C)")),
        ("B. a dog", ("A. a cat", "B. a dog", "C. a hen")),
        ("(B) A dog.", ("(A) A cat.", "(B) A dog.", "(C) A hen.")),
        ("a dog", PETS),
        ("A dog.", ("A cat.", "A dog.", "A hen.")),
        ("A DOG", ("A cat", "A DOG", "A hen")),
        ("B: A DOG", ("A: A cat", "B: A DOG", "C: A hen")),
        ("It is a dog", PETS),
    ],
)
def test_each_option_is_said_as_the_record_says_its_own(
    ask: Ask, reference: str, spoken: tuple[str, ...]
) -> None:
    assert spoken_options(ask(reference, options=PETS, answer="a dog")) == spoken


def test_options_may_end_and_begin_as_they_like(ask: Ask) -> None:
    question = ask("left", options=("Left.", "Right.", "Up"))
    assert spoken_options(question) == ("left", "right", "up")


@pytest.mark.parametrize(
    "words",
    ["B", "b", " B.", "(B)", "B)", "(b).", "B:", "B. a dog", "(B) A dog.", "B) a dog", "A DOG!"],
)
def test_an_option_is_named_by_letter_or_text(ask: Ask, words: str) -> None:
    assert named_option(ask("A", options=PETS), words) == 1


@pytest.mark.parametrize(
    "words",
    [
        *("", "?", "A or B", "AB", "A B", "A, B", "D", "Z", "I think B", "The answer is B.", "dog"),
        *("B a dog", "(B", "B. a cat", "B. ", "a dog and a hen", "B\nB", "Option B", "б", "1"),
    ],
)
def test_anything_else_names_none(ask: Ask, words: str) -> None:
    expected = 1 if words == "B. " else None  # white space around an answer says nothing
    assert named_option(ask("A", options=PETS), words) == expected


def test_where_options_are_letters_the_record_decides_what_one_means(ask: Ask) -> None:
    options = ("C", "A", "B")
    by_text = ask("A", options=options, answer="A")
    assert spoken_options(by_text) == options
    assert named_option(by_text, "A") == 1
    by_letter = ask("A", options=options, answer="C")
    with pytest.raises(RecordError, match="does not tell"):
        right_option(ask("A", options=options))
    with pytest.raises(RecordError, match="its reply is 'A' and its 'answer' is 'B'"):
        right_option(ask("A", options=options, answer="B"))
    assert spoken_options(by_letter) == ("A", "B", "C")
    assert named_option(by_letter, "A") == 0


def test_equal_options_cannot_be_named_by_their_text(ask: Ask) -> None:
    question = ask("A", options=("cat", "cat", "dog"))
    assert named_option(question, "cat") is None
    assert named_option(question, "B") == 1


def test_letters_name_classes_only_where_the_record_uses_them(ask: Ask) -> None:
    signs = ask("C", options=("B", "C", "A"), kind="classification")
    assert right_option(signs) == 1
    assert spoken_options(signs) == ("B", "C", "A")
    assert named_option(signs, "A") == 2
    animals = ask("a cat", options=PETS, kind="classification")
    assert named_option(animals, "A") is None
    lettered = ask("B", options=PETS, answer="a dog", kind="classification")
    assert right_option(lettered) == named_option(lettered, "(b)") == 1


def test_more_options_than_letters_are_named_by_text(ask: Ask) -> None:
    many = tuple(f"class {number}" for number in range(30))
    question = ask("class 7", options=many, kind="classification")
    assert right_option(question) == 7
    assert spoken_options(question) == many
    with pytest.raises(RecordError, match="does not tell"):
        right_option(ask("B", options=many))


def test_the_most_likely_option_is_chosen_and_of_equal_ones_the_first(ask: Ask) -> None:
    chosen = chosen_option(ask("B", options=PETS), Answer("C", (-2.0, -1.0, -1.0)))
    assert (chosen.right, chosen.choice, chosen.named) == (1, 1, 2)


def test_without_likelihoods_words_choose(ask: Ask) -> None:
    question = ask("B", options=PETS)
    assert chosen_option(question, Answer("c")).choice == 2
    assert chosen_option(question, Answer("a dog or a hen")).choice is None


def test_likelihoods_that_do_not_fit_are_refused(ask: Ask) -> None:
    with pytest.raises(ValueError, match="2 likelihoods for 3 options"):
        chosen_option(ask("B", options=PETS), Answer("B", (-1.0, -2.0)))
    with pytest.raises(TrainingError, match="record r1: the likelihoods .* nan.*are damaged"):
        chosen_option(ask("B", options=PETS), Answer("B", (-1.0, math.nan, -2.0)))
