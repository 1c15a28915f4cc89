"""What do other models think of free answers?

    Predictions  ->  Predictions with `judged` and `similarity`, and which models said that

Only answers in free words are shown to them: those to open questions, captions and feedback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from flipbook.score.kinds.kind import references_of
from flipbook.score.opinions.judge_model import JudgeModel, check_judge
from flipbook.score.opinions.similarity import SimilarityModel, check_similarity
from flipbook.score.prediction import Prediction

FREE_KINDS = ("open", "caption", "feedback")
_Said = tuple[str, str, tuple[str, ...]]  # question, answer, right answers


def with_opinions(
    predictions: Sequence[Prediction],
    *,
    judge_model: str | Path | None = None,
    similarity_model: str | Path | None = None,
    device: str | None = None,
) -> tuple[list[Prediction], dict[str, Any]]:
    """Return the predictions, in order, with what models think of them; and facts of the models.

    `judged` is 1 where the judge model says that the answer means the same as a right one, and 0
    otherwise; `similarity` is a cosine, -1 to 1. Equal answers to equal questions are read once.
    Each model is let go of before the next one is loaded.

    Args:
        judge_model: folder or hub id, see `JudgeModel`.
        similarity_model: folder, see `SimilarityModel`.
        device: where they compute; None is the first GPU where there is one, else the processor.

    Returns:
        predictions, and JSON-ready facts under "judge_model" and "similarity_model".

    Raises: as `JudgeModel` and `SimilarityModel`.
    """
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    free = [item for item in predictions if item.kind in FREE_KINDS]
    opinions: dict[str, dict[_Said, float]] = {}
    facts: dict[str, Any] = {}
    if judge_model is not None:
        judge = JudgeModel(judge_model, device=place)
        opinions["judged"] = _judged(judge, free)
        facts["judge_model"] = asdict(judge.facts)
        del judge
    if similarity_model is not None:
        sentences = SimilarityModel(similarity_model, device=place)
        opinions["similarity"] = _similar(sentences, free)
        facts["similarity_model"] = asdict(sentences.facts)
    return [_with(item, opinions) for item in predictions], facts


def check_opinions(
    *, judge_model: str | Path | None = None, similarity_model: str | Path | None = None
) -> None:
    """Check that the models can be read, by all of them but their weights.

    Raises: as `JudgeModel` and `SimilarityModel`.
    """
    if judge_model is not None:
        check_judge(judge_model)
    if similarity_model is not None:
        check_similarity(similarity_model)


def _judged(judge: JudgeModel, predictions: Sequence[Prediction]) -> dict[_Said, float]:
    values: dict[_Said, float] = {}
    for item in predictions:
        question, answer, references = said = _said(item)
        if said not in values:
            same = judge.means_the_same(
                answer, references, question=question, record_id=item.record_id
            )
            values[said] = float(same)
    return values


def _similar(model: SimilarityModel, predictions: Sequence[Prediction]) -> dict[_Said, float]:
    said = list(dict.fromkeys(_said(item) for item in predictions))
    answers, references = [item[1] for item in said], [item[2] for item in said]
    return dict(zip(said, model.similarity(answers, references), strict=True))


def _with(item: Prediction, opinions: dict[str, dict[_Said, float]]) -> Prediction:
    if item.kind not in FREE_KINDS:
        return item
    values = {name: by_words[_said(item)] for name, by_words in opinions.items()}
    return replace(item, measures={**item.measures, **values})


def _said(item: Prediction) -> _Said:
    return item.question, item.answer, references_of(item)
