"""What are the numbers that matter most?

scores.json  ->  Facts: the score, what tuning gained, what the order of frames gained, on how much
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flipbook.evaluate.page.numbers import in_words, interval, number, p_in_words, signed
from flipbook.evaluate.rows import TUNED, UNTUNED
from flipbook.score.scores import MEAN


@dataclass(frozen=True)
class Fact:
    """A number in large letters.

    Attributes:
        name: what it is.
        value: the number.
        details: what it must be read with.
    """

    name: str
    value: str
    details: tuple[str, ...] = ()


def facts_of(scores: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return the headline numbers of scores.json; those that it does not hold are left out."""
    found = [_score(scores), _gain(scores), _temporal_gain(scores), _size(scores)]
    return tuple(fact for fact in found if fact is not None)


def _score(scores: Mapping[str, Any]) -> Fact:
    num_tasks = len(scores[TUNED]) - 1
    details = []
    bounds = scores.get("intervals", {}).get(TUNED, {}).get(MEAN)
    if bounds:
        details.append(interval(*bounds))
    details.append("mean over 1 task" if num_tasks == 1 else f"mean over {num_tasks} tasks")
    if MEAN in scores.get("chance", {}):
        details.append(f"chance {number(scores['chance'][MEAN])}")
    return Fact("score", number(scores[TUNED][MEAN]), tuple(details))


def _gain(scores: Mapping[str, Any]) -> Fact | None:
    found = scores.get("differences", {}).get(f"{TUNED}-{UNTUNED}")
    if found is None:
        return None
    before = scores.get(UNTUNED, {}).get(MEAN)
    told = () if before is None else (f"from {number(before)}",)
    return Fact("gain by tuning", signed(found["value"]), (*_doubt(found), *told))


def _temporal_gain(scores: Mapping[str, Any]) -> Fact | None:
    found = scores.get("temporal_gain")
    if not found:
        return None
    against = f"over {in_words(found['against'])}"
    return Fact("temporal gain", signed(found["value"]), (*_doubt(found), against))


def _doubt(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the interval of a difference and how likely chance alone makes it."""
    told = []
    if "low" in found and "high" in found:
        told.append(interval(found["low"], found["high"]))
    if "p_value" in found:
        told.append(p_in_words(found["p_value"]))
    return tuple(told)


def _size(scores: Mapping[str, Any]) -> Fact | None:
    counts = scores.get("num_questions", {}).get(TUNED)
    if not counts:
        return None
    num_videos = scores.get("num_videos", {}).get(TUNED)
    details = () if num_videos is None else (f"about {num_videos:,} videos",)
    return Fact("questions", f"{sum(counts.values()):,}", details)
