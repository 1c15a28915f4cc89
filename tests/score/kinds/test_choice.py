"""Are multiple-choice answers judged by likelihood, and do reordered options stay one question?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from flipbook.data.formats.prompts import choice_question
from flipbook.data.turns import Media, Turn
from flipbook.score.kinds.choice import reordered, spoken_options
from flipbook.score.kinds.options import right_option
from flipbook.score.kinds.table import judge, measures_of
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion

Ask = Callable[..., AskedQuestion]
PETS = ("a cat", "a dog", "a hen")
TEXT = choice_question("What moves?", PETS)


def test_accuracy_is_by_likelihood_and_words_are_judged_beside_it(ask: Ask) -> None:
    judged = judge(ask("B", options=PETS), Answer("A", (-2.0, -1.0, -3.0), reordered_choice=2))
    assert judged.kind == "multiple_choice"
    assert judged.value == 1.0
    assert judged.measures == {
        "accuracy": 1.0,
        "generated_accuracy": 0.0,
        "unparsed": 0.0,
        "consistent": 0.0,
    }
    assert (judged.right_option, judged.choice) == (1, 1)


def test_what_was_not_asked_is_not_told(ask: Ask) -> None:
    first = judge(ask("B", options=PETS), Answer("It is B", (-1.0, -2.0, -3.0)))
    second = judge(ask("C", options=PETS), Answer("C", (-3.0, -2.0, -1.0), reordered_choice=2))
    assert "consistent" not in first.measures
    values = {name: measure.value for name, measure in measures_of([first, second]).items()}
    assert values == {
        "accuracy": 0.5,
        "generated_accuracy": 0.5,
        "unparsed": 0.5,
        "consistent": 1.0,
    }


def test_the_right_option_keeps_being_right_in_another_order(ask: Ask) -> None:
    for number in range(20):
        question = ask("B", text=TEXT, record_id=f"r{number}", options=PETS, answer="a dog")
        other, order = _reordered(question)
        assert sorted(order) == [0, 1, 2] and order != (0, 1, 2)
        assert other.options == tuple(PETS[old] for old in order)
        assert other.text == choice_question("What moves?", other.options)
        assert other.options[right_option(other)] == "a dog"
        assert other.reference == "ABC"[order.index(1)]
        assert spoken_options(other) == ("A", "B", "C")
        assert other.media == question.media and other.key == question.key


def _reordered(question: AskedQuestion) -> tuple[AskedQuestion, tuple[int, ...]]:
    found = reordered(question)
    assert found is not None
    return found


def test_the_order_is_drawn_from_record_and_number(ask: Ask) -> None:
    questions = [ask("B", text=TEXT, record_id=f"r{number}", options=PETS) for number in range(30)]
    orders = [_reordered(question)[1] for question in questions]
    assert orders == [_reordered(question)[1] for question in questions]
    assert len(set(orders)) == 5  # all but the one that changes nothing
    later = [_reordered(replace(question, number=2))[1] for question in questions]
    assert later != orders


def test_two_options_change_places(ask: Ask) -> None:
    for number in range(10):
        text = choice_question("Which way?", ("left", "right"))
        question = ask("A", text=text, record_id=f"r{number}", options=("left", "right"))
        assert _reordered(question)[1] == (1, 0)
        assert _reordered(question)[0].reference == "B"


@pytest.mark.parametrize(
    ("reference", "moved"),
    [
        ("B. a dog", "{}. a dog"),
        ("(b)", "({})"),
        ("a dog", "a dog"),
        ("Surely a dog", "Surely a dog"),
    ],
)
def test_the_reference_follows_in_its_own_form(ask: Ask, reference: str, moved: str) -> None:
    question = ask(reference, text=TEXT, options=PETS, answer="a dog", references=("dog (B)",))
    other, order = _reordered(question)
    letter = "ABC"[order.index(1)]
    letter = letter.lower() if "b" in reference else letter
    assert other.reference == moved.format(letter)
    assert other.references == (other.reference,)


@pytest.mark.parametrize("line", ["{}. {}", "{}) {}", "({}) {}"])
def test_lines_of_three_forms_are_found(ask: Ask, line: str) -> None:
    def written(options: tuple[str, ...]) -> str:
        pairs = zip("ABC", options, strict=True)
        return "\n".join(["What?", *(line.format(*pair) for pair in pairs), "Letter:"])

    question = ask("B", text=written(PETS), options=PETS)
    other, _ = _reordered(question)
    assert other.text == written(other.options)


@pytest.mark.parametrize(
    "text",
    [
        "What moves?",
        "What moves?\nA. a cat\nB. a dog",
        "What moves?\nA. a cat\nB. a hen\nC. a dog",
        "What moves?\nA. a cat\nB. a dog\nC. a hen!",
        "What moves? A. a cat\nB. a dog\nC. a hen",
        f"{TEXT}\n{TEXT}",
    ],
)
def test_where_the_lines_are_not_there_just_once_nothing_is_moved(ask: Ask, text: str) -> None:
    assert reordered(ask("B", text=text, options=PETS)) is None


def test_one_option_has_no_other_order(ask: Ask) -> None:
    assert reordered(ask("A", text="What?\nA. a cat", options=("a cat",))) is None


def test_only_the_last_user_turn_is_changed(ask: Ask) -> None:
    question = ask("B", text="Look.", options=PETS, answer="a dog")
    clip = Media("video", "/clips/b.mp4")
    turns = (*question.turns[:1], Turn("assistant", ("Yes.",)), Turn("user", (TEXT, clip)))
    other, _ = _reordered(replace(question, turns=(*turns, question.turns[-1])))
    assert other.turns[:2] == turns[:2]
    assert other.turns[2].parts == (choice_question("What moves?", other.options), clip)
