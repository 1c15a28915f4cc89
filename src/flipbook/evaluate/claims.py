"""What do the answers of all rows come to?

    Predictions by row, AskedQuestions  ->  content of scores.json, but for its provenance

Every number has its 95 % interval, every comparison its p-value. What cannot be told is left out:
nothing in it is NaN or null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from flipbook.evaluate.differences import (
    ORDER_CONTROLS,
    differences_of,
    name_of,
    nearest_row,
)
from flipbook.evaluate.rows import ROWS, TUNED
from flipbook.evaluate.verdict import verdict
from flipbook.score.chance import chance_of
from flipbook.score.intervals import Difference, estimate
from flipbook.score.kinds.table import measures_of
from flipbook.score.prediction import Prediction
from flipbook.score.questions import AskedQuestion
from flipbook.score.scores import Score, score_of, videos_of

Rows = Mapping[str, Sequence[Prediction]]


def claims_of(
    predictions: Rows,
    *,
    questions: Sequence[AskedQuestion],
    scores: Mapping[str, Score] | None = None,
) -> dict[str, Any]:
    """Return the content of `scores.json`: each row's scores by its name, then what they rest on.

    Args:
        questions: those of the row `tuned`, for what random answers would score.
        scores: of `score_rows`, where they are made already.

    Raises:
        ValueError: a row is unknown, has no predictions, or there is no row `tuned`.
        DataError: a task is called "mean".
    """
    scores = score_rows(predictions) if scores is None else scores
    known = {row: predictions[row] for row in scores}
    differences = differences_of(known)
    by_kind = {row: _by_kind(own) for row, own in known.items()}
    content: dict[str, Any] = {
        **{row: score.as_dict() for row, score in scores.items()},
        "num_questions": {row: dict(score.num_questions) for row, score in scores.items()},
        "num_videos": {row: score.num_videos for row, score in scores.items()},
        "intervals": {
            row: {name: list(ends) for name, ends in score.intervals.items()}
            for row, score in scores.items()
        },
        "kinds": {
            row: {kind: measured(own) for kind, own in kinds.items()}
            for row, kinds in by_kind.items()
        },
        "num_of_kind": {
            row: {kind: len(own) for kind, own in kinds.items()} for row, kinds in by_kind.items()
        },
    }
    gain = temporal_gain(differences)
    if gain is not None:
        content["temporal_gain"] = gain
    content["differences"] = {name: apart.as_dict() for name, apart in differences.items()}
    content["chance"] = chance_of(questions)
    content["verdict"] = verdict(known, differences=differences)
    return content


def score_rows(predictions: Rows) -> dict[str, Score]:
    """Return the score of each row, in the order of ROWS.

    Raises:
        ValueError: a row is unknown, or has no predictions.
        DataError: a task is called "mean".
    """
    unknown = predictions.keys() - ROWS.keys()
    if unknown:
        raise ValueError(f"unknown rows {sorted(unknown)}; known are {list(ROWS)}")
    return {row: score_of(predictions[row]) for row in ROWS if row in predictions}


def measured(predictions: Sequence[Prediction]) -> dict[str, dict[str, float]]:
    """Return value and interval of each measure of predictions of one kind.

    A measure that says nothing about them is left out.

    Raises:
        ValueError: there are no predictions, or they are of several kinds.
    """
    videos = videos_of(predictions)
    return {
        name: estimate(measure, videos).as_dict()
        for name, measure in measures_of(predictions).items()
        if not math.isnan(measure.value)
    }


def temporal_gain(differences: Mapping[str, Difference]) -> dict[str, Any] | None:
    """Return how far tuned is above the better of its rows without order; None without them."""
    row = nearest_row(differences, ORDER_CONTROLS)
    if row is None:
        return None
    return {**differences[name_of(TUNED, row)].as_dict(), "against": row}


def _by_kind(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    found: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        found.setdefault(prediction.kind, []).append(prediction)
    return found
