"""How many frames, and how large, is this model best read with?

    checkpoint, questions, numbers of frames x sides  ->  score and latency of each point
                                                      ->  Pareto front, pick  ->  sweep.json

Every point is asked the same questions, so two points are compared question by question: a
difference that chance would make is no reason to pay for more frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flipbook.errors import ArgumentError, BudgetError
from flipbook.evaluate.cost import Cost, measure_cost
from flipbook.evaluate.points import Point
from flipbook.model.checkpoint import Checkpoint
from flipbook.score.answering import answer_questions
from flipbook.score.controls import FULL
from flipbook.score.intervals import difference
from flipbook.score.kinds.table import judge
from flipbook.score.prediction import Prediction
from flipbook.score.processes import from_first
from flipbook.score.questions import AskedQuestion
from flipbook.score.scores import MEAN, mean_over_tasks, score_of, videos_of
from flipbook.video.settings import ClipSettings

AUTO, NONE = "auto", "none"
SIGNIFICANT = 0.05
MOST_BELOW = 0.05  # few videos make no difference significant, and would let any point be picked
RULES = {
    AUTO: (
        f"the cheapest point whose score is at most {MOST_BELOW} below the best one, and not "
        f"significantly so (paired permutation test over videos, p of {SIGNIFICANT} or more)"
    ),
    NONE: "no point was to be picked",
}
BY_HAND = "the point that --pick names"


@dataclass(frozen=True)
class Swept:
    """What one point gives.

    Attributes:
        visual_tokens: of a question, the middle one.
        latency_ms: from decoded frames to the first token.
        predictions: of every question, in their order.
    """

    point: Point
    visual_tokens: float
    latency_ms: float
    predictions: Sequence[Prediction]


@dataclass(frozen=True)
class Sweep:
    """What all points give.

    Attributes:
        swept: by latency.
        refused: the points that cannot be asked, and why.
        front: those of `swept` that no other one beats: none is as cheap and better, or as good and
            cheaper.
        picked: one of `swept`; None where none was to be picked.
        rule: by which it was picked, in words.
        device: on which latency was measured; `dtype` is that of the weights.
    """

    swept: Sequence[Swept]
    refused: Mapping[Point, str]
    front: frozenset[Point]
    picked: Point | None
    rule: str
    device: str
    dtype: str

    def as_dict(self, *, trained_at: Point) -> dict[str, Any]:
        """Return the content of sweep.json."""
        return {
            "points": [self._told(one) for one in self.swept],
            "refused": [
                {"frames": point.frames, "frame_size": point.frame_size, "reason": reason}
                for point, reason in self.refused.items()
            ],
            "trained_at": {"frames": trained_at.frames, "frame_size": trained_at.frame_size},
            "rule": self.rule,
            "num_questions": len(self.swept[0].predictions),
            "device": self.device,
            "dtype": self.dtype,
        }

    def _told(self, one: Swept) -> dict[str, Any]:
        score = score_of(one.predictions)
        low, high = score.intervals[MEAN]
        return {
            "frames": one.point.frames,
            "frame_size": one.point.frame_size,
            "visual_tokens": one.visual_tokens,
            "score": score.mean,
            "low": low,
            "high": high,
            "latency_ms": one.latency_ms,
            "on_front": one.point in self.front,
            "picked": one.point == self.picked,
        }


def sweep_points(
    checkpoint: Checkpoint,
    questions: Sequence[AskedQuestion],
    points: Mapping[Point, ClipSettings],
    *,
    pick: Point | str = AUTO,
    batch_size: int = 16,
    max_new_tokens: int = 64,
    num_cost_questions: int = 8,
    on_point: Callable[[Point], None] | None = None,
) -> Sweep:
    """Return score and latency of every point, and which of them to take.

    Processes that were started together share the answers; the first one measures latency.

    Args:
        questions: of `asked_at_any_point`.
        points: see `points_of`.
        pick: "auto" goes by the rule, "none" picks nothing, a point is taken as it is.
        on_point: is told each point before it is asked.

    Raises:
        ArgumentError: the model can read no point, or not the one that is to be picked.
        MediaError, RecordError: a clip or a prompt is bad. One that is too long refuses its point.
    """
    swept: list[Swept] = []
    refused: dict[Point, str] = {}
    device = dtype = ""
    for point, settings in points.items():
        if on_point is not None:
            on_point(point)
        try:
            predictions = _predictions(
                checkpoint,
                questions,
                settings,
                batch_size=batch_size,
                max_new_tokens=max_new_tokens,
            )
        except BudgetError as error:
            refused[point] = str(error)
            continue
        cost = _cost(checkpoint, questions, settings, num_questions=num_cost_questions)
        device, dtype = cost.device, cost.dtype
        swept.append(Swept(point, cost.visual_tokens.median, cost.latency_ms, predictions))
    _refuse_nothing_left(swept, refused, pick)
    swept.sort(key=lambda one: (one.latency_ms, one.point))
    return Sweep(swept, refused, front_of(swept), *_picked(swept, pick), device, dtype)


def _predictions(
    checkpoint: Checkpoint,
    questions: Sequence[AskedQuestion],
    settings: ClipSettings,
    *,
    batch_size: int,
    max_new_tokens: int,
) -> list[Prediction]:
    """Return the judged answer to each question."""
    answers = answer_questions(
        checkpoint,
        questions,
        settings=settings,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
    )[FULL]
    pairs = zip(questions, answers, strict=True)
    return [judge(question, answer) for question, answer in pairs if answer is not None]


def _cost(
    checkpoint: Checkpoint,
    questions: Sequence[AskedQuestion],
    settings: ClipSettings,
    *,
    num_questions: int,
) -> Cost:
    """Return the cost that the first process measures."""

    def measure() -> Cost:
        return measure_cost(checkpoint, questions, settings=settings, num_questions=num_questions)

    return from_first(measure)


def front_of(swept: Sequence[Swept]) -> frozenset[Point]:
    """Return the points that no other one beats: as cheap and better, or as good and cheaper."""
    scores = {one.point: score_of(one.predictions).mean for one in swept}

    def beats(other: Swept, one: Swept) -> bool:
        cheaper = one.latency_ms - other.latency_ms
        better = scores[other.point] - scores[one.point]
        return cheaper >= 0 and better >= 0 and (cheaper > 0 or better > 0)

    return frozenset(one.point for one in swept if not any(beats(other, one) for other in swept))


def best_buy(swept: Sequence[Swept]) -> Point:
    """Return the cheapest point that is as good as the best one, as far as can be told.

    Its score is at most 0.05 below, and no significant difference was found: a p-value of 0.05 or
    more in a paired permutation test over videos.
    """
    measures = {one.point: mean_over_tasks(one.predictions) for one in swept}
    by_latency = sorted(swept, key=lambda one: (one.latency_ms, one.point))
    best = max(by_latency, key=lambda one: measures[one.point].value)  # of equal ones the cheapest
    videos = videos_of(best.predictions)
    for one in by_latency:
        if one is best:
            break
        found = difference(measures[best.point], measures[one.point], videos)
        if found.value <= MOST_BELOW and found.p_value >= SIGNIFICANT:
            return one.point
    return best.point


def _picked(swept: Sequence[Swept], pick: Point | str) -> tuple[Point | None, str]:
    """Return the point to take, and the rule in words."""
    if isinstance(pick, Point):
        return pick, BY_HAND
    return (best_buy(swept) if pick == AUTO else None), RULES[pick]


def _refuse_nothing_left(
    swept: Sequence[Swept], refused: Mapping[Point, str], pick: Point | str
) -> None:
    if isinstance(pick, Point) and pick in refused:
        raise ArgumentError(f"--pick {pick} cannot be read by the model: {refused[pick]}")
    if not swept:
        point, reason = next(iter(refused.items()))
        raise ArgumentError(
            f"the model can read none of the {len(refused)} points, beginning with {point}: "
            f"{reason} Give fewer --frames or smaller --frame_sizes."
        )
