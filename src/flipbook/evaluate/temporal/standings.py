"""Where does a model stand beside readers that know less of the frames?

    scores.json of an evaluation on the suite  ->  Standing in each task  ->  temporal.json

A score alone says little. Here it stands beside chance and the ceilings of readers that know less,
and is above one only where its whole interval is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flipbook.data.generated.asking import CHOICE_ENDING, KINDS, task_of
from flipbook.data.generated.ceilings import ceiling
from flipbook.data.generated.scenes import LAST_FRAME, NEEDS, ONE_FRAME, ORDER
from flipbook.evaluate.rows import TUNED

SHUFFLED, SINGLE_FRAME = "shuffled", "single_frame"  # rows of scores.json


@dataclass(frozen=True)
class Standing:
    """What a model scores on one task, and what readers that know less can score.

    Attributes:
        task: as rows have it; `direction_choice` is the multiple choice of `direction`.
        needs: what a reader must know of the frames, see `NEEDS`.
        chance: of a guess among the rivals' answers.
        order_blind: what no reader of unordered frames can beat.
        untimed: what no reader of ordered frames without instants can beat.
        score, low, high: with frames in order, and its interval; None where it was not asked.
        shuffled, single_frame: with frames in random order, and with the middle one alone.
    """

    task: str
    needs: str
    chance: float
    order_blind: float
    untimed: float
    score: float | None = None
    low: float | None = None
    high: float | None = None
    shuffled: float | None = None
    single_frame: float | None = None

    @property
    def is_temporal(self) -> bool:
        """Whether unordered frames without instants do not tell."""
        return self.needs not in (LAST_FRAME, ONE_FRAME)

    @property
    def to_beat(self) -> float:
        """The ceiling of readers that lack what the task needs."""
        if not self.is_temporal:
            return self.chance
        return self.order_blind if self.needs == ORDER else self.untimed

    @property
    def proven(self) -> bool | None:
        """Whether the whole interval lies above what is to beat; None where there is none."""
        return None if self.low is None else self.low > self.to_beat

    def as_dict(self) -> dict[str, Any]:
        """Return what temporal.json holds of the task, without what is not known."""
        values = {**asdict(self), "to_beat": self.to_beat, "proven": self.proven}
        return {name: value for name, value in values.items() if value is not None}


def standings_of(tasks: Iterable[str], scores: Mapping[str, Any] | None = None) -> list[Standing]:
    """Return where a model stands in each task.

    Args:
        tasks: as rows have them, those in words and those with options.
        scores: the content of scores.json; None leaves the scores out.
    """
    return [_standing(task, scores or {}) for task in tasks]


def _standing(task: str, scores: Mapping[str, Any]) -> Standing:
    name = task_of(task)
    # A question for a span in words is scored by overlap, see the kind `when`.
    by_overlap = KINDS.get(name) == "when" and not task.endswith(CHOICE_ENDING)
    chance, order_blind, untimed = (
        ceiling(name, reading, by_overlap=by_overlap)
        for reading in ("words", "unordered", "untimed")
    )
    low, high = scores.get("intervals", {}).get(TUNED, {}).get(task, (None, None))
    return Standing(
        task,
        NEEDS[name],
        chance,
        order_blind,
        untimed,
        score=scores.get(TUNED, {}).get(task),
        low=low,
        high=high,
        shuffled=scores.get(SHUFFLED, {}).get(task),
        single_frame=scores.get(SINGLE_FRAME, {}).get(task),
    )
