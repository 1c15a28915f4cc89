"""What may be said about a model, and what not, from its scores?

    Scores by row  ->  one paragraph in plain words

Two scores count as different only when they are more than two standard errors apart, so a handful
of questions never makes a claim.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from flipbook.evaluate.metrics import Score

NUM_STANDARD_ERRORS = 2.0  # about 95 % of chance differences are smaller


def verdict(scores: Mapping[str, Score]) -> str:
    """Return what the rows say together; those that are absent are left out.

    Raises:
        ValueError: there is no row `tuned`.
    """
    if "tuned" not in scores:
        raise ValueError(f"no row 'tuned' among {list(scores)}")
    sentences = [_gain(scores)]
    if "blank" in scores and not _above(scores["tuned"], scores["blank"]):
        sentences.append(_of_blank(scores))
    elif "shuffled" in scores:
        sentences.append(_of_order(scores))
    if "still_images_before" in scores and "still_images_after" in scores:
        sentences.append(_of_still_images(scores))
    return " ".join(sentences)


def _above(higher: Score, lower: Score) -> bool:
    """Whether `higher` is above `lower` by more than chance explains."""
    noise = math.hypot(higher.standard_error, lower.standard_error)
    return higher.mean - lower.mean > NUM_STANDARD_ERRORS * noise


def _gain(scores: Mapping[str, Score]) -> str:
    tuned = scores["tuned"]
    start = f"The tuned model answers {tuned.mean:.2f} of the questions"
    if "untuned" not in scores:
        return f"{start}."
    untuned = scores["untuned"]
    start += f", {untuned.mean:.2f} before tuning"
    if _above(tuned, untuned):
        return f"{start}: it learned."
    if _above(untuned, tuned):
        return f"{start}: tuning made it worse."
    total = sum(tuned.num_questions.values())
    return f"{start}: no difference that {total} questions can show."


def _of_blank(scores: Mapping[str, Score]) -> str:
    return (
        f"It scores {scores['blank'].mean:.2f} with blank frames: nothing here shows that it looks "
        "at them."
    )


def _of_order(scores: Mapping[str, Score]) -> str:
    start = f"It scores {scores['shuffled'].mean:.2f} with the frames shuffled:"
    if _above(scores["tuned"], scores["shuffled"]):
        return f"{start} it uses the order of frames."
    return (
        f"{start} nothing here shows that it uses the order of frames; it, or the questions, may "
        "not need it."
    )


def _of_still_images(scores: Mapping[str, Score]) -> str:
    before, after = scores["still_images_before"], scores["still_images_after"]
    start = f"On still images it scores {after.mean:.2f}, {before.mean:.2f} before tuning:"
    if _above(before, after):
        return f"{start} it forgot some; mix still images into the training data."
    return f"{start} nothing forgotten that these questions would show."
