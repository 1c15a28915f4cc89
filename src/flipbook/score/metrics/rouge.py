"""How much of a right text does an answer say, in the same order?

"a man lifts a red box", "the man lifts the box"  ->  shared in order: man lifts box
"""

from __future__ import annotations

from collections.abc import Sequence

from flipbook.score.metrics.words import is_other_script, rouge_words


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """Return ROUGE-L, the F1 of the longest common subsequence of words; of the best reference.

    Words are not stemmed. Equal to the package rouge-score, but for references that are mostly in
    another script than a to z: there the package finds no words and gives 0, and here the words of
    that script are compared.

    Raises:
        ValueError: there is no reference.

    Source: Lin, "ROUGE: a package for automatic evaluation of summaries", 2004, section 3.1.
    """
    any_script = is_other_script(references)
    said = rouge_words(answer, any_script=any_script)
    return max(_f1(said, rouge_words(text, any_script=any_script)) for text in references)


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return 0.0
    return 2 * longest_common(said, right) / (len(said) + len(right))


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence of two texts.

    Source: Hyyrö, "Bit-parallel LCS-length computation revisited", 2004: a row of the usual table
    is one integer, in which a 0 stands wherever the length grows by one.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    whole = (1 << len(first)) - 1
    row = whole
    for word in second:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & whole
    return len(first) - row.bit_count()
