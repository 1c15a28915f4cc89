"""Does every kind of question have its judge, and is every judgement a fair line of a report?"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

from flipbook.data import extras
from flipbook.data.records import Record
from flipbook.errors import RecordError
from flipbook.score.kinds import table
from flipbook.score.kinds.table import KINDS, judge, measures_of, missing_measures, unjudged
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion

Ask = Callable[..., AskedQuestion]
PETS = ("a cat", "a dog", "a hen")
RIGHT = {
    "open": ("It moves left.", {}),
    "multiple_choice": ("B", {"options": PETS, "answer": "a dog"}),
    "classification": ("a dog", {"options": PETS, "answer": "a dog"}),
    "caption": ("A dog runs.", {"references": ("The dog is running.",)}),
    "when": ("From 3.0 to 9.5 seconds.", {"spans": ((3.0, 9.5),)}),
    "feedback": ("Keep your back straight.", {}),
    "count": ("Three", {"answer": "3"}),
}


def test_every_kind_of_record_can_be_judged() -> None:
    assert tuple(KINDS) == extras.KINDS == tuple(RIGHT)


@pytest.mark.parametrize("kind", KINDS)
def test_the_records_own_answer_is_as_good_as_can_be(ask: Ask, kind: str) -> None:
    reference, facts = RIGHT[kind]
    judged = judge(ask(reference, kind=kind, task="t", **facts), Answer(reference))
    assert judged.value == judged.measures[KINDS[kind].headline] == 1.0
    assert judged.correct
    assert (judged.kind, judged.task, judged.reference) == (kind, "t", reference)
    assert (judged.question, judged.video) == ("What moves?", "/clips/r1.mp4")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", ["", "?!", "猫が走る", "None of these at all", "\n"])
def test_any_answer_has_a_value_between_0_and_1(ask: Ask, kind: str, words: str) -> None:
    reference, facts = RIGHT[kind]
    judged = judge(ask(reference, kind=kind, **facts), Answer(words))
    assert 0.0 <= judged.value < 1.0
    line = json.loads(json.dumps(judged.as_dict(), allow_nan=False))
    assert line["measures"] == dict(judged.measures)
    measures = measures_of([judged, judged])
    assert next(iter(measures)) == KINDS[kind].headline
    assert measures[KINDS[kind].headline].value == pytest.approx(judged.value)
    assert all(math.isfinite(measure.value) for measure in measures.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_measure_has_numbers_of_every_question(ask: Ask, kind: str) -> None:
    reference, facts = RIGHT[kind]
    judged = [judge(ask(reference, kind=kind, **facts), Answer(w)) for w in (reference, "", "x")]
    for name, measure in measures_of(judged).items():
        assert len(measure.stats) == 3, name
        assert measure.combine(measure.stats.sum(axis=0)[None]).shape == (1,)


def test_a_question_that_names_no_kind_is_open_or_has_options(ask: Ask) -> None:
    assert judge(ask("left"), Answer("left")).kind == "open"
    assert judge(ask("A", options=PETS), Answer("A")).kind == "multiple_choice"


def test_likelihoods_and_options_are_kept(ask: Ask) -> None:
    judged = judge(ask("B", options=PETS), Answer("B", (-2.0, -1.0, -3.0)))
    assert (judged.options, judged.option_log_likelihoods) == (PETS, (-2.0, -1.0, -3.0))
    assert judged.as_dict()["ranked"][0] == ["a dog", -1.0]


def test_measures_are_of_one_kind(ask: Ask) -> None:
    mixed = [
        judge(ask("left"), Answer("left")),
        judge(ask("3", kind="count"), Answer("3")),
    ]
    with pytest.raises(ValueError, match=r"of one kind, got \['count', 'open'\]"):
        measures_of(mixed)
    with pytest.raises(ValueError, match="of one kind, got none"):
        measures_of([])


def test_what_cannot_be_computed_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "missing_meteor", lambda: "nltk is not installed")
    assert missing_measures() == {"meteor": "nltk is not installed"}
    monkeypatch.setattr(table, "missing_meteor", lambda: None)
    assert missing_measures() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_judged_is_known_without_an_answer(ask: Ask, kind: str) -> None:
    reference, facts = RIGHT[kind]
    sound = ask(reference, kind=kind, **facts)
    assert unjudged(Record("r1", (sound.turns,), sound.extras)) is None
    silent = ask("several", kind=kind, options=PETS if "options" in facts else ())
    error = unjudged(Record("r1", (silent.turns,), silent.extras))
    if kind in ("open", "caption", "feedback"):
        assert error is None
        return
    with pytest.raises(RecordError) as judged:
        judge(silent, Answer("several"))
    assert str(error) == str(judged.value)
