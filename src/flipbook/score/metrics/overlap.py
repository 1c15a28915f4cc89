"""How many words does an answer share with a right one?

"a red ball", "the ball"  ->  token F1 0.67; it contains the right answer
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flipbook.score.metrics.words import answer_words


def token_f1(answer: str, references: Sequence[str]) -> float:
    """Return the F1 of the words of an answer, 0 to 1; that of the nearest reference.

    Two texts without words, such as "The." and "a", are equal.

    Raises:
        ValueError: there is no reference.

    Source: Rajpurkar et al., "SQuAD", 2016, section 6.1.
    """
    return max(_f1(answer_words(answer), answer_words(reference)) for reference in references)


def contains(answer: str, references: Sequence[str]) -> bool:
    """Return whether all words of a reference stand in the answer, in order and side by side.

    "scat" does not contain "cat". A reference without words is contained in nothing else.

    Raises:
        ValueError: there is no reference.
    """
    if not references:
        raise ValueError("an answer is compared with one reference or more, and there is none")
    said = answer_words(answer)
    return any(_stands_in(answer_words(reference), said) for reference in references)


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    num_shared = (Counter(said) & Counter(right)).total()
    return 2 * num_shared / (len(said) + len(right))


def _stands_in(wanted: list[str], said: list[str]) -> bool:
    if not wanted:
        return not said
    starts = range(len(said) - len(wanted) + 1)
    return any(said[start : start + len(wanted)] == wanted for start in starts)
