"""By how much is one row above another, on the questions that both have?

    Predictions of two rows  ->  those of the same questions, in one order  ->  Difference

Two rows are compared question by question, so what makes a question hard for both drops out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flipbook.evaluate.rows import STILLS_AFTER, STILLS_BEFORE, TUNED
from flipbook.score.intervals import Difference, difference
from flipbook.score.prediction import Prediction
from flipbook.score.scores import mean_over_tasks, videos_of

SIGNIFICANT = 0.05  # a p-value below it makes a claim
ORDER_CONTROLS = ("shuffled", "single_frame")  # what is lost without them is temporal gain


def paired(
    first: Sequence[Prediction], second: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    """Return the predictions of the questions that both have, in the order of the first."""
    of_key = {prediction.key: prediction for prediction in second}
    shared = [prediction for prediction in first if prediction.key in of_key]
    return shared, [of_key[prediction.key] for prediction in shared]


def difference_of(first: Sequence[Prediction], second: Sequence[Prediction]) -> Difference | None:
    """Return how far the first row's mean over tasks is above the second's; None without pairs."""
    left, right = paired(first, second)
    if not left:
        return None
    return difference(mean_over_tasks(left), mean_over_tasks(right), videos_of(left))


def differences_of(predictions: Mapping[str, Sequence[Prediction]]) -> dict[str, Difference]:
    """Return how far tuned is above each other row about clips, and still images after tuning
    above those before.

    Names are "tuned-untuned", "tuned-shuffled" and so on. Rows that share no question are left out.
    """
    pairs = [(TUNED, row) for row in predictions if row not in (TUNED, STILLS_BEFORE, STILLS_AFTER)]
    if STILLS_BEFORE in predictions:
        pairs.append((STILLS_AFTER, STILLS_BEFORE))
    found = {
        name_of(first, second): difference_of(predictions[first], predictions[second])
        for first, second in pairs
        if first in predictions
    }
    return {name: apart for name, apart in found.items() if apart is not None}


def name_of(first: str, second: str) -> str:
    """Return the name of a difference between two rows."""
    return f"{first}-{second}"


def nearest_row(differences: Mapping[str, Difference], rows: Sequence[str]) -> str | None:
    """Return which of some rows tuned is above by the least; None where there is none of them."""
    known = [row for row in rows if name_of(TUNED, row) in differences]
    return min(known, key=lambda row: differences[name_of(TUNED, row)].value, default=None)


def is_above(apart: Difference) -> bool:
    """Whether the first is above the second by more than chance explains."""
    return apart.value > 0 and apart.p_value < SIGNIFICANT


def is_below(apart: Difference) -> bool:
    """Whether the first is below the second by more than chance explains."""
    return apart.value < 0 and apart.p_value < SIGNIFICANT


def in_plain_text(p_value: float) -> str:
    """Return a p-value for terminals and JSON, in plain spaces: "p = 0.021" or "p < 0.001"."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
