"""How well can a reader do that does not know everything about the frames?

    task, what is read of a movie  ->  the best accuracy there is

    words        the question alone
    last_frame   what is on the last frame
    middle_frame what is on the middle one of 8 frames, as the control `single_frame` shows it
    unordered    what is on the frames, and how often, not in which order
    untimed      the frames in order, not when they were
    timed        everything

The reader may know all else: the rivals, all their frames and answers. So its ceiling is one that
nobody beats, and exact for `unordered` and `untimed` where rivals read alike. For one frame it is
often 1 and says little: whoever knows a path, knows from one place on it which way it is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence

from flipbook.data.generated.movies import MIDDLE_FRAME, Movie, Question
from flipbook.data.generated.scenes import make_rivals

Span = tuple[float, float]
NUM_RIVALRIES = 36

READINGS: dict[str, Callable[[Movie], Hashable]] = {
    "words": lambda movie: None,
    "last_frame": lambda movie: movie.pictures[-1],
    "middle_frame": lambda movie: movie.pictures[MIDDLE_FRAME],
    "unordered": lambda movie: frozenset(Counter(movie.pictures).items()),
    "untimed": lambda movie: movie.pictures,
    "timed": lambda movie: (movie.pictures, movie.frames_per_s),
}


def order_blind_ceiling(task: str, *, num_rivalries: int = NUM_RIVALRIES) -> float:
    """Return the accuracy that no reader of unordered frames can beat on the task's questions.

    Such a reader gets the same input for every rival, so its best answer to a question is the one
    most rivals share.
    """
    return ceiling(task, "unordered", num_rivalries=num_rivalries)


def ceiling(
    task: str, reading: str, *, num_rivalries: int = NUM_RIVALRIES, by_overlap: bool = False
) -> float:
    """Return the mean score that no reader can beat that gets no more than a reading of a movie.

    Args:
        task: one of `SUITE_TASKS`.
        reading: one of `READINGS`.
        num_rivalries: how many sets of rivals are counted.
        by_overlap: whether a question about a span is scored by intersection over union, and not
            by being right.
    """
    reached, asked = 0.0, 0
    for seed in range(num_rivalries):
        for questions in _indistinguishable(make_rivals(task, seed=seed), READINGS[reading]):
            by_span = by_overlap and all(question.spans for question in questions)
            reached += _best_by_overlap(questions) if by_span else _best(questions)
            asked += len(questions)
    return reached / asked


def _indistinguishable(
    rivals: Sequence[Movie], read: Callable[[Movie], Hashable]
) -> Iterable[list[Question]]:
    """Return the questions of rivals in lists: those alike in words and in what is read."""
    alike: dict[Hashable, list[Question]] = {}
    for movie in rivals:
        for question in movie.questions:
            key = (read(movie), question.task, question.text)
            alike.setdefault(key, []).append(question)
    return alike.values()


def _best(questions: Sequence[Question]) -> float:
    """Return how many of some questions the best one answer for all of them answers right."""
    return max(Counter(question.answer for question in questions).values())


def _best_by_overlap(questions: Sequence[Question]) -> float:
    """Return the most overlap that one span for all questions can have with theirs, summed.

    Between two ends of theirs, the sum is convex in either end of the guess, so the best one begins
    and ends where some of them do.
    """
    ends = sorted({end for question in questions for span in question.spans for end in span})
    guesses = [(start, end) for start in ends for end in ends if start < end]
    return max(
        sum(max(overlap(guess, span) for span in question.spans) for question in questions)
        for guess in guesses
    )


def overlap(one: Span, other: Span) -> float:
    """Return the intersection over union of two spans, each of some length."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return max(shared, 0.0) / (max(one[1], other[1]) - min(one[0], other[0]))
