"""How near is a text to a right one, where synonyms are as good as the same word?

METEOR needs the package nltk and its wordnet data. Both are looked for once, on this machine, and
never downloaded; where one is missing, the measure is left out and `missing_meteor` tells why.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from functools import cache

from flipbook.score.metrics.words import plain_words


@cache
def missing_meteor() -> str | None:
    """Return why METEOR cannot be computed, and what to do; None where it can."""
    if importlib.util.find_spec("nltk") is None:
        return "nltk is not installed; install flipbook-vlm[meteor]"
    try:
        importlib.import_module("nltk.corpus").wordnet.ensure_loaded()
    except LookupError:
        return "nltk has no wordnet data; get them with: python -m nltk.downloader wordnet"
    return None


def meteor(answer: str, references: Sequence[str]) -> float:
    """Return METEOR of the nearest reference, 0 to 1, with nltk's parameters.

    Words are in lower case, split at white space, without punctuation.

    Raises:
        ValueError: there is no reference.

    Source: Lavie and Agarwal, "METEOR: an automatic metric for MT evaluation with high levels of
    correlation with human judgments", 2007.
    """
    score = importlib.import_module("nltk.translate.meteor_score").single_meteor_score
    wordnet = importlib.import_module("nltk.corpus").wordnet
    said = plain_words(answer)
    return max(float(score(plain_words(text), said, wordnet=wordnet)) for text in references)
