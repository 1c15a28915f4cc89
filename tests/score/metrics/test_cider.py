"""Is CIDEr-D that of the COCO caption evaluation?"""

from __future__ import annotations

import numpy as np
import pytest
from pycocoevalcap.cider.cider_scorer import CiderScorer

from fixtures_captions import CAPTION_WORDS
from flipbook.score.metrics.cider import cider_d
from flipbook.score.metrics.words import plain_words


def _by_coco(captions: list[str], references: list[list[str]]) -> tuple[float, list[float]]:
    scorer = CiderScorer()
    for caption, texts in zip(captions, references, strict=True):
        words = [" ".join(plain_words(text)) for text in texts]
        scorer += (" ".join(plain_words(caption)), words)
    mean, values = scorer.compute_score()
    return float(mean), [float(value) for value in values]


@pytest.mark.parametrize("seed", range(8))
def test_values_are_those_of_the_coco_evaluation(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def text() -> str:
        return " ".join(rng.choice(CAPTION_WORDS, size=rng.integers(0, 15)))

    captions = [text() for _ in range(20)]
    references = [[text() for _ in range(rng.integers(1, 6))] for _ in captions]
    references[0][0] = captions[0]
    mean, values = _by_coco(captions, references)
    assert cider_d(captions, references) == pytest.approx(values, abs=1e-6)
    assert np.mean(cider_d(captions, references)) == pytest.approx(mean, abs=1e-6)
    assert max(values) > 1


def test_a_caption_that_says_what_only_its_clip_has_reaches_ten() -> None:
    captions = ["a man lifts a heavy box", "two dogs run over green grass"]
    assert cider_d(captions, [[text] for text in captions]) == pytest.approx([10.0, 10.0])


def test_a_single_clip_and_equal_clips_tell_nothing() -> None:
    text = "a man lifts a box"
    assert cider_d([text], [[text]]) == [0.0]
    assert cider_d([text] * 3, [[text]] * 3) == [0.0] * 3
    assert _by_coco([text] * 3, [[text]] * 3) == (0.0, [0.0] * 3)
    assert cider_d([], []) == []


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 captions need as many lists of references"):
        cider_d(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match=r"none of them empty; got lists of \[1, 0\]"):
        cider_d(["a", "b"], [["a"], []])
