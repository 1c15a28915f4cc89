"""Are captions and feedback judged alone and together, with the measures that are there?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flipbook.score.kinds import caption, feedback
from flipbook.score.kinds.table import judge, measures_of
from flipbook.score.metrics.cider import cider_d
from flipbook.score.metrics.corpus import bleu_4, chrf
from flipbook.score.metrics.overlap import token_f1
from flipbook.score.metrics.rouge import rouge_l
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion

Ask = Callable[..., AskedQuestion]
ANSWERS = ["A man lifts a heavy box.", "Two dogs run.", ""]
REFERENCES = [
    ("A man lifts a box.", "Somebody lifts a heavy box up high."),
    ("Two brown dogs run over grass.",),
    ("A cat sleeps.", "A cat lies down.", "The cat is tired."),
]


@pytest.fixture(autouse=True)
def without_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (caption, feedback):
        monkeypatch.setattr(module, "missing_meteor", lambda: "not here")


def _judged(ask: Ask, kind: str) -> list[Prediction]:
    return [
        judge(ask(own, kind=kind, references=others), Answer(answer))
        for answer, (own, *others) in zip(ANSWERS, REFERENCES, strict=True)
    ]


def test_captions(ask: Ask) -> None:
    judged = _judged(ask, "caption")
    alone = [rouge_l(*pair) for pair in zip(ANSWERS, REFERENCES, strict=True)]
    assert [dict(item.measures) for item in judged] == [{"rouge_l": value} for value in alone]
    assert [item.value for item in judged] == alone
    measures = measures_of(judged)
    assert {name: measure.value for name, measure in measures.items()} == {
        "rouge_l": pytest.approx(sum(alone) / 3),
        "bleu_4": pytest.approx(bleu_4(ANSWERS, REFERENCES).value),
        "chrf": pytest.approx(chrf(ANSWERS, REFERENCES).value),
        "cider_d": pytest.approx(sum(cider_d(ANSWERS, REFERENCES)) / 3),
    }
    assert list(measures)[0] == "rouge_l"
    assert [name for name, item in measures.items() if not item.in_unit_range] == ["cider_d"]


def test_feedback(ask: Ask) -> None:
    judged = _judged(ask, "feedback")
    pairs = list(zip(ANSWERS, REFERENCES, strict=True))
    assert [dict(item.measures) for item in judged] == [
        {"rouge_l": rouge_l(*pair), "token_f1": token_f1(*pair)} for pair in pairs
    ]
    assert list(measures_of(judged)) == ["rouge_l", "token_f1", "chrf"]
    assert measures_of(judged)["chrf"].value == chrf(ANSWERS, REFERENCES).value


@pytest.mark.parametrize("kind", ["caption", "feedback"])
def test_meteor_is_there_where_it_can_be(
    ask: Ask, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (caption, feedback):
        monkeypatch.setattr(module, "missing_meteor", lambda: None)
        monkeypatch.setattr(module, "meteor", lambda answer, references: len(references) / 8)
    judged = _judged(ask, kind)
    assert [item.measures["meteor"] for item in judged] == [2 / 8, 1 / 8, 3 / 8]
    assert measures_of(judged)["meteor"].value == pytest.approx(2 / 8)


def test_one_caption_alone(ask: Ask) -> None:
    measures = measures_of(_judged(ask, "caption")[:1])
    assert measures["cider_d"].value == 0.0
    assert measures["bleu_4"].value == bleu_4(ANSWERS[:1], REFERENCES[:1]).value


def test_a_prediction_without_listed_references_has_its_own(ask: Ask) -> None:
    full = judge(ask("Two dogs run.", kind="caption"), Answer("Two dogs run."))
    bare = Prediction(**{**vars(full), "references": ()})
    assert measures_of([bare])["chrf"].value == measures_of([full])["chrf"].value == 1.0
