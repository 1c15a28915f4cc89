"""How near is a caption to what people agree to say of a clip?

    captions, their references  ->  CIDEr-D of each caption, 0 to 10

Words that all clips' references share, such as "a", weigh nothing; words that many people say of
one clip weigh much.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from flipbook.score.metrics.words import plain_words

LONGEST = 4  # words of an n-gram
SIGMA = 6.0  # of the penalty on a difference in length, in pairs of words
SCALE = 10.0
_Grams = Counter[tuple[str, ...]]


def cider_d(captions: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return CIDEr-D of each caption, 0 to 10, with the references' own document frequencies.

    Words are in lower case, split at white space, without punctuation: not the Penn Treebank words
    of the COCO server, whose values differ by a little. What n-grams weigh is told by all
    references given here, so values of different sets of clips do not compare, and a single clip
    always has 0: all its words are shared by all clips.

    Args:
        references: of each caption, one or more.

    Raises:
        ValueError: there are not as many lists of references as captions, or one is empty.

    Source: Vedantam et al., "CIDEr: consensus-based image description evaluation", 2015, section 7;
    n-grams as in the COCO caption evaluation.
    """
    if len(captions) != len(references) or not all(references):
        raise ValueError(
            f"{len(captions)} captions need as many lists of references, none of them empty; "
            f"got lists of {[len(texts) for texts in references]}"
        )
    right = [[_grams(text) for text in texts] for texts in references]
    weigh = _Weights(right)
    values = []
    for caption, counts in zip(captions, right, strict=True):
        said = weigh.vector(_grams(caption))
        total = sum(_nearness(said, weigh.vector(grams)) for grams in counts)
        values.append(SCALE * total / len(counts))
    return values


class _Vector:
    """A text as weights of its n-grams; `norms` by length of n-gram, `length` in pairs."""

    def __init__(self, weights: dict[tuple[str, ...], float], length: int) -> None:
        self.weights = weights
        self.length = length
        squares = [0.0] * LONGEST
        for gram, weight in weights.items():
            squares[len(gram) - 1] += weight * weight
        self.norms = [math.sqrt(square) for square in squares]


class _Weights:
    """What n-grams weigh: the less, the more clips have them in a reference."""

    def __init__(self, references: Sequence[Sequence[_Grams]]) -> None:
        self._num_clips = Counter(
            gram for texts in references for gram in {gram for text in texts for gram in text}
        )
        self._most = math.log(len(references)) if references else 0.0

    def vector(self, grams: _Grams) -> _Vector:
        weights = {
            gram: count * (self._most - math.log(max(1, self._num_clips[gram])))
            for gram, count in grams.items()
        }
        return _Vector(weights, sum(count for gram, count in grams.items() if len(gram) == 2))


def _nearness(said: _Vector, right: _Vector) -> float:
    """Return the mean over lengths of n-grams of their clipped cosine, less for other lengths."""
    products = [0.0] * LONGEST
    for gram, weight in said.weights.items():
        other = right.weights.get(gram, 0.0)
        products[len(gram) - 1] += min(weight, other) * other
    cosines = [
        product / (own * other) if own and other else 0.0
        for product, own, other in zip(products, said.norms, right.norms, strict=True)
    ]
    difference = said.length - right.length
    return sum(cosines) / LONGEST * math.exp(-(difference**2) / (2 * SIGMA**2))


def _grams(text: str) -> _Grams:
    words = plain_words(text)
    return Counter(
        tuple(words[start : start + size])
        for size in range(1, LONGEST + 1)
        for start in range(len(words) - size + 1)
    )
