"""Does a model tell which class a clip belongs to?

top_1                the right class is the most likely one   (headline)
top_5                it is one of the five most likely ones; where there are more than five
macro_f1             F1 of each class, their mean: rare classes weigh as much as frequent ones
generated_accuracy   the generated words name the right class
unparsed             the generated words name no class
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flipbook.score.kinds.kind import Judgement, Kind
from flipbook.score.kinds.options import chosen_option, right_option
from flipbook.score.measure import FloatArray, Measure
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion

NUM_BEST = 5


def _judge(question: AskedQuestion, answer: Answer) -> Judgement:
    chosen = chosen_option(question, answer)
    values = answer.option_log_likelihoods
    measures = {"top_1": float(chosen.choice == chosen.right)}
    if len(values) > NUM_BEST:
        best = sorted(range(len(values)), key=lambda place: -values[place])[:NUM_BEST]
        measures["top_5"] = float(chosen.right in best)
    measures["generated_accuracy"] = float(chosen.named == chosen.right)
    measures["unparsed"] = float(chosen.named is None)
    return Judgement(measures, chosen.right, chosen.choice)


def _corpus(predictions: Sequence[Prediction]) -> dict[str, Measure]:
    if any(prediction.right_option is None for prediction in predictions):
        return {}
    return {"macro_f1": macro_f1(predictions)}


def macro_f1(predictions: Sequence[Prediction]) -> Measure:
    """Return the mean F1 of the classes that are right for some question.

    A class that is never chosen has 0. For each class a question counts whether it was chosen and
    right, right, and chosen.

    Raises:
        ValueError: a prediction does not know its right option, or there is none.
    """
    place_of = {name: place for place, name in enumerate(_classes(predictions))}
    stats = np.zeros((len(predictions), 3, len(place_of)))
    for number, prediction in enumerate(predictions):
        if prediction.right_option is None:
            raise ValueError(f"prediction {prediction.key} does not know its right option")
        right = place_of[prediction.options[prediction.right_option]]
        stats[number, 1, right] = 1
        if prediction.choice is not None:
            choice = place_of[prediction.options[prediction.choice]]
            stats[number, 2, choice] = 1
            stats[number, 0, right] = choice == right
    return Measure(stats.reshape(len(predictions), -1), _macro_f1_of)


def _macro_f1_of(sums: FloatArray) -> FloatArray:
    """Return the mean F1 of summed counts (..., 3 x classes) -> (...)."""
    both, right, chosen = np.split(sums, 3, axis=-1)  # each (..., classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(right > 0, 2 * both / (right + chosen), 0.0)
        values: FloatArray = f1.sum(axis=-1) / (right > 0).sum(axis=-1)
    return values


def _classes(predictions: Sequence[Prediction]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for prediction in predictions for name in prediction.options))


CLASSIFICATION = Kind("top_1", _judge, _corpus, right=right_option)
