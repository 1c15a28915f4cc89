"""Are free answers, and no others, shown to the models, each once?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flipbook.score.kinds.table import measures_of
from flipbook.score.opinions import ask
from flipbook.score.opinions.ask import with_opinions
from flipbook.score.opinions.judge_model import JudgeFacts, JudgeModel
from flipbook.score.opinions.similarity import SimilarityFacts
from flipbook.score.prediction import Prediction

Predict = Callable[..., Prediction]


@dataclass
class _Judge:
    """Says yes to what it is told to."""

    facts: JudgeFacts = JudgeFacts("small", "12ab", "same?")
    seen: list[tuple[str, ...]] = field(default_factory=list)

    def means_the_same(
        self, answer: str, references: tuple[str, ...], *, question: str, record_id: str
    ) -> bool:
        self.seen.append((question, answer, *references))
        return answer == "a puppy"


class _Sentences:
    facts = SimilarityFacts("sentences", "34cd")

    def similarity(
        self, answers: Sequence[str], references: Sequence[Sequence[str]]
    ) -> list[float]:
        assert len(set(zip(answers, map(tuple, references), strict=True))) == len(answers)
        return [-0.5 if answer == "a cat" else 0.75 for answer in answers]


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> _Judge:
    judge = _Judge()
    monkeypatch.setattr(ask, "JudgeModel", lambda name, device: judge)
    monkeypatch.setattr(ask, "SimilarityModel", lambda name, device: _Sentences())
    return judge


def test_free_answers_gain_measures(judge: _Judge, predict: Predict) -> None:
    given = [
        predict("a puppy", "a dog"),
        predict("a cat", "a dog", "a puppy", kind="caption"),
        predict("a cat", "a dog", kind="feedback"),
        predict("3", "3", kind="count"),
    ]
    judged, facts = with_opinions(given, judge_model="small", similarity_model="sentences")
    assert [dict(item.measures) for item in judged] == [
        {"exact_match": 0.0, "judged": 1.0, "similarity": 0.75},
        {"exact_match": 0.0, "judged": 0.0, "similarity": -0.5},
        {"exact_match": 0.0, "judged": 0.0, "similarity": -0.5},
        {"exact_match": 0.0},
    ]
    assert judged[3] is given[3]
    assert [item.value for item in judged] == [0.0] * 4
    assert facts == {
        "judge_model": {"name": "small", "sha256": "12ab", "prompt": "same?"},
        "similarity_model": {"name": "sentences", "sha256": "34cd"},
    }


def test_means_of_opinions_are_reported(judge: _Judge, predict: Predict) -> None:
    given = [predict("a puppy", "a dog"), predict("a cat", "a dog")]
    judged, _ = with_opinions(given, judge_model="small", similarity_model="sentences")
    measures = measures_of(judged)
    assert measures["judged"].value == 0.5
    assert measures["similarity"].value == pytest.approx(0.125)
    assert measures["judged"].in_unit_range and not measures["similarity"].in_unit_range


def test_equal_answers_to_equal_questions_are_read_once(judge: _Judge, predict: Predict) -> None:
    given = [
        predict("a cat", "a dog"),
        predict("a cat", "a dog", record_id="r2"),
        predict("a cat", "a dog", question="Who sits?"),
    ]
    judged, _ = with_opinions(given, judge_model="small")
    assert judge.seen == [("What moves?", "a cat", "a dog"), ("Who sits?", "a cat", "a dog")]
    assert [item.record_id for item in judged] == ["r1", "r2", "r1"]


def test_nobody_asked_nothing_changed(predict: Predict) -> None:
    given = [predict("a cat", "a dog")]
    assert with_opinions(given) == (given, {})


def test_a_real_judge_decides(text_model: Path, predict: Predict) -> None:
    given = [predict("a cat", "a dog"), predict("", "a dog")]
    judged, facts = with_opinions(given, judge_model=text_model, device="cpu")
    alone: Any = JudgeModel(text_model)
    same = alone.means_the_same("a cat", ("a dog",), question="What moves?", record_id="r1")
    assert [item.measures["judged"] for item in judged] == [float(same), 0.0]
    assert facts["judge_model"]["name"] == "small-judge"
