"""Does a model that answers at random score what chance is said to be?"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from itertools import permutations

import pytest

from flipbook.data.extras import Extras
from flipbook.data.formats.prompts import choice_question, letter_of, span_answer
from flipbook.data.records import Turn
from flipbook.score import chance
from flipbook.score.chance import WITH_OPTIONS, chance_of
from flipbook.score.kinds.table import KINDS, judge
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion
from flipbook.score.scores import score_of

NUM_QUESTIONS = 150
COLOURS = ("red", "green", "blue", "yellow")
CLASSES = ("walking", "running", "jumping", "sitting", "waving", "falling", "turning")
ANIMALS = ("cat", "dog", "horse")
PLACES = ("on a table", "in the garden", "under an old tree")


def ask(
    place: int, reference: str, extras: Extras, *, text: str = "What is it?", task: str = "one"
) -> AskedQuestion:
    turns = (Turn("user", (text,)), Turn("assistant", (reference,)))
    return AskedQuestion(f"r{place}", task, turns, extras=extras)


def open_question(place: int, rng: random.Random) -> AskedQuestion:
    return ask(place, rng.choice(COLOURS), Extras(kind="open"))


def choice(place: int, rng: random.Random) -> AskedQuestion:
    options = tuple(rng.sample(COLOURS, rng.choice((2, 3, 4))))
    right = rng.randrange(len(options))
    extras = Extras(kind="multiple_choice", options=options, answer=options[right])
    return ask(place, letter_of(right), extras, text=choice_question("Which?", options))


def class_question(place: int, rng: random.Random) -> AskedQuestion:
    right = rng.choice(CLASSES[:3])
    return ask(place, right, Extras(kind="classification", options=CLASSES, answer=right))


def caption(place: int, rng: random.Random) -> AskedQuestion:
    text = f"A {rng.choice(COLOURS)} {rng.choice(ANIMALS)} sleeps {rng.choice(PLACES)}."
    return ask(place, text, Extras(kind="caption", references=(f"There is a {text[2:]}",)))


def when(place: int, rng: random.Random) -> AskedQuestion:
    start = rng.uniform(0, 10)
    span = (round(start, 1), round(start + rng.uniform(1, 6), 1))
    return ask(place, span_answer(*span), Extras(kind="when", spans=(span,)))


def feedback(place: int, rng: random.Random) -> AskedQuestion:
    text = f"Keep your {rng.choice(('back', 'arms', 'knees'))} {rng.choice(('straight', 'low'))}."
    return ask(place, text, Extras(kind="feedback"))


def count(place: int, rng: random.Random) -> AskedQuestion:
    return ask(place, str(rng.randint(1, 5)), Extras(kind="count"))


MADE: dict[str, Callable[[int, random.Random], AskedQuestion]] = {
    "open": open_question,
    "multiple_choice": choice,
    "classification": class_question,
    "caption": caption,
    "when": when,
    "feedback": feedback,
    "count": count,
}


@cache
def questions_of_kind(kind: str) -> list[AskedQuestion]:
    rng = random.Random(kind)
    return [MADE[kind](place, rng) for place in range(NUM_QUESTIONS)]


@cache
def chance_of_kind(kind: str) -> dict[str, float]:
    return chance_of(questions_of_kind(kind))


def at_random(questions: list[AskedQuestion], seed: int) -> list[Prediction]:
    """Let a model that sees nothing answer: with options by dice, else as another record does."""
    rng = random.Random(seed)
    predictions = []
    for place, question in enumerate(questions):
        others = questions[:place] + questions[place + 1 :]
        answer = Answer(rng.choice(others).reference)
        if question.options:
            answer = Answer(answer.text, tuple(rng.random() for _ in question.options))
        predictions.append(judge(question, answer))
    return predictions


@pytest.mark.parametrize("kind", KINDS)
def test_random_answers_score_within_the_interval_of_chance(kind: str) -> None:
    questions = questions_of_kind(kind)
    expected = chance_of_kind(kind)
    assert expected.keys() == {"mean", "one"}
    num_held = 0
    for seed in range(5):
        low, high = score_of(at_random(questions, seed)).intervals["one"]
        num_held += low <= expected["one"] <= high
    assert num_held >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_chance_is_the_mean_of_many_random_models(kind: str) -> None:
    questions = questions_of_kind(kind)
    values = [item.value for seed in range(10) for item in at_random(questions, seed)]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    error = (variance / len(values)) ** 0.5
    assert chance_of_kind(kind)["mean"] == pytest.approx(mean, abs=3.5 * error)
    assert error < 0.014


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - set(WITH_OPTIONS)))
def test_chance_is_exactly_the_mean_over_all_pairs(kind: str) -> None:
    questions = questions_of_kind(kind)[:12]
    values = [
        judge(one, Answer(other.reference)).value for one, other in permutations(questions, 2)
    ]
    assert chance_of(questions)["one"] == pytest.approx(sum(values) / len(values), abs=1e-12)


def test_of_many_questions_pairs_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = questions_of_kind("when")
    exact = chance_of_kind("when")["mean"]
    monkeypatch.setattr(chance, "MOST_PAIRED", 20)
    monkeypatch.setattr(chance, "MOST_PAIRS", 20 * NUM_QUESTIONS)
    drawn = chance_of(questions)["mean"]
    assert drawn != exact
    assert drawn == pytest.approx(exact, abs=0.02)
    assert chance_of(questions)["mean"] == drawn


def test_options_count_as_they_are() -> None:
    two = Extras(kind="multiple_choice", options=("a", "b"), answer="a")
    four = Extras(kind="multiple_choice", options=("a", "b", "c", "d"), answer="a")
    asked = [ask(0, "a", two), ask(1, "a", four), ask(2, "a", four, task="two")]
    assert chance_of(asked) == {"mean": (0.375 + 0.25) / 2, "one": 0.375, "two": 0.25}


def test_a_question_without_another_one_has_no_chance() -> None:
    alone = ask(0, "red", Extras(kind="open"), task="alone")
    pair = [ask(1, "red", Extras(kind="open")), ask(2, "red", Extras(kind="open"))]
    assert chance_of([alone]) == {}
    assert chance_of([alone, *pair]) == {"one": 1.0}


def test_answers_are_dealt_among_questions_of_one_kind() -> None:
    asked = [
        ask(0, "two", Extras(kind="open")),
        ask(1, "two", Extras(kind="open")),
        ask(2, "2", Extras(kind="count")),
        ask(3, "3", Extras(kind="count")),
    ]
    assert chance_of(asked)["one"] == 0.5
