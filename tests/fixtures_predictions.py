"""Judged answers without a model, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Sequence

from flipbook.score.prediction import Prediction


def make_prediction(
    name: str,
    value: float,
    *,
    task: str | None = "order",
    video: str | None = None,
    kind: str = "open",
    **changes: object,
) -> Prediction:
    """Return the prediction of a question, whose record and video are called `name`."""
    facts: dict[str, object] = {
        "record_id": name,
        "number": 1,
        "task": task,
        "kind": kind,
        "video": video or f"{name}.mp4",
        "question": "Où va-t-il ?",
        "reference": "left",
        "answer": "left" if value == 1 else "right",
        "value": float(value),
        "measures": {"exact_match": float(value)},
        "references": ("left",),
    }
    return Prediction(**facts | changes)  # type: ignore[arg-type]


def make_predictions(values: Sequence[float], *, task: str | None = "order") -> list[Prediction]:
    """Return a prediction for each value, each about a video of its own, of one task."""
    return [
        make_prediction(f"{task}-{place}", value, task=task) for place, value in enumerate(values)
    ]


def share(num_right: int, num_questions: int, *, task: str = "order") -> list[Prediction]:
    """Return predictions of which the first ones are right."""
    return make_predictions([float(place < num_right) for place in range(num_questions)], task=task)
