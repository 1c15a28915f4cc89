"""How is an answer judged, and what do many judged answers say together?

Record                   ->  can it be judged?
AskedQuestion, Answer    ->  Prediction
Predictions of one kind  ->  Measures by name, the headline first
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from flipbook.data.parts import shown
from flipbook.data.records import Record
from flipbook.errors import RecordError
from flipbook.score.kinds.caption import CAPTION
from flipbook.score.kinds.choice import CHOICE
from flipbook.score.kinds.classification import CLASSIFICATION
from flipbook.score.kinds.count import COUNT
from flipbook.score.kinds.feedback import FEEDBACK
from flipbook.score.kinds.kind import Kind
from flipbook.score.kinds.open import OPEN
from flipbook.score.kinds.when import WHEN
from flipbook.score.measure import Measure, mean_of
from flipbook.score.metrics.meteor import missing_meteor
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion, questions_of

KINDS: dict[str, Kind] = {
    "open": OPEN,
    "multiple_choice": CHOICE,
    "classification": CLASSIFICATION,
    "caption": CAPTION,
    "when": WHEN,
    "feedback": FEEDBACK,
    "count": COUNT,
}
UNIT_RANGE = (0.0, 1.0)
OTHER_RANGES = {  # of the measures of single questions; the others lie in UNIT_RANGE
    "absolute_error": (0.0, sys.float_info.max),
    "similarity": (-1.0, 1.0),
}
ROUNDING = 1e-6  # by which a share or a cosine may pass its range


def judge(question: AskedQuestion, answer: Answer) -> Prediction:
    """Return what was answered to a question, and how good that is.

    Raises:
        RecordError: the record does not tell what is right, as its kind needs it.
        TrainingError: a likelihood is not a number.
        ValueError: there are not as many likelihoods as options.
    """
    kind = KINDS[question.kind]
    judgement = kind.judge(question, answer)
    return Prediction(
        record_id=question.record_id,
        number=question.number,
        task=question.task,
        kind=question.kind,
        video=question.video,
        question=question.text,
        reference=question.reference,
        answer=answer.text,
        value=judgement.measures[kind.headline],
        measures=judgement.measures,
        references=question.references,
        options=question.options,
        option_log_likelihoods=answer.option_log_likelihoods,
        right_option=judgement.right_option,
        choice=judgement.choice,
    )


def unjudged(record: Record) -> RecordError | None:
    """Return why answers to a record's questions cannot be judged; None where they can."""
    try:
        for question in questions_of([record]):
            KINDS[question.kind].right(question)
    except RecordError as error:
        return error
    return None


def fault_of(kind: str, value: float, measures: Mapping[str, float]) -> str | None:
    """Return why no answer to a question of a kind is judged so; None where one can be.

    "count", 1.0, {"accuracy": 1.0, "absolute_error": 3.0}  ->  None
    "count", 7.0, {"accuracy": 7.0}                         ->  "its 'accuracy' is 7.0, which lies
                                                                outside 0 to 1"
    """
    if kind not in KINDS:
        return f"its 'kind' is {shown(kind)}; known are {', '.join(KINDS)}"
    for name, measured in measures.items():
        low, high = OTHER_RANGES.get(name, UNIT_RANGE)
        if not low - ROUNDING <= measured <= high + ROUNDING:
            return f"its {name!r} is {shown(measured)}, which lies outside {low:g} to {high:g}"
    headline = KINDS[kind].headline
    if headline not in measures:
        return f"its 'measures' do not tell {headline!r}, by which the kind {kind} is judged"
    if value != measures[headline]:
        return (
            f"its 'value' is {shown(value)}, and should be its {headline!r}, which is "
            f"{shown(measures[headline])}"
        )
    return None


def measures_of(predictions: Sequence[Prediction]) -> dict[str, Measure]:
    """Return all measures of the predictions of one kind, by name, the headline first.

    Those of single questions become their mean over the questions about which they say something.

    Raises:
        ValueError: there are no predictions, or they are of several kinds.
    """
    kinds = {prediction.kind for prediction in predictions}
    if len(kinds) != 1:
        raise ValueError(f"predictions must be of one kind, got {sorted(kinds) or 'none'}")
    kind = KINDS[kinds.pop()]
    names = dict.fromkeys(
        [kind.headline, *(name for prediction in predictions for name in prediction.measures)]
    )
    means = {
        name: mean_of(
            [prediction.measures.get(name) for prediction in predictions],
            in_unit_range=name not in OTHER_RANGES,
        )
        for name in names
    }
    return means | kind.corpus(predictions)


def missing_measures() -> dict[str, str]:
    """Return the measures that cannot be computed on this machine, and why."""
    reason = missing_meteor()
    return {} if reason is None else {"meteor": reason}
