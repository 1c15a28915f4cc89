"""What must be known of a kind of question to judge its answers?

AskedQuestion, Answer  ->  Judgement: measures of that question alone, and what was chosen
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flipbook.score.measure import Measure
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion


@dataclass(frozen=True)
class Judgement:
    """How good one answer is.

    Attributes:
        measures: by name, the headline first; without those that say nothing about this question.
        right_option: place of the right option; None where there is nothing to choose from.
        choice: place of the option that was chosen; None where none was.
    """

    measures: Mapping[str, float]
    right_option: int | None = None
    choice: int | None = None


def _nothing_to_read(question: AskedQuestion) -> None:
    return None


def _no_more(predictions: Sequence[Prediction]) -> dict[str, Measure]:
    return {}


@dataclass(frozen=True)
class Kind:
    """How answers to one kind of question are judged.

    Attributes:
        headline: name of the measure that tells most, 0 to 1; the higher, the better.
        judge: gives the measures of one question alone. Raises RecordError where the record does
            not tell what is right.
        corpus: gives the measures of all predictions together that are no means over questions.
        right: reads what is right. Raises RecordError where the record does not tell, as `judge`.
    """

    headline: str
    judge: Callable[[AskedQuestion, Answer], Judgement]
    corpus: Callable[[Sequence[Prediction]], dict[str, Measure]] = _no_more
    right: Callable[[AskedQuestion], object] = _nothing_to_read


def references_of(prediction: Prediction) -> tuple[str, ...]:
    """Return all right answers to a question, its record's own first."""
    return prediction.references or (prediction.reference,)
