"""How near is feedback on an exercise to what a trainer said?

rouge_l    the longest run of shared words, gaps allowed   (headline)
token_f1   shared words, whatever their order
meteor     shared words and synonyms; where nltk's wordnet data are installed
chrf       shared runs of 1 to 6 characters, of all answers together
"""

from __future__ import annotations

from collections.abc import Sequence

from flipbook.score.kinds.kind import Judgement, Kind, references_of
from flipbook.score.measure import Measure
from flipbook.score.metrics.corpus import chrf
from flipbook.score.metrics.meteor import meteor, missing_meteor
from flipbook.score.metrics.overlap import token_f1
from flipbook.score.metrics.rouge import rouge_l
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion


def _judge(question: AskedQuestion, answer: Answer) -> Judgement:
    measures = {
        "rouge_l": rouge_l(answer.text, question.references),
        "token_f1": token_f1(answer.text, question.references),
    }
    if missing_meteor() is None:
        measures["meteor"] = meteor(answer.text, question.references)
    return Judgement(measures)


def _corpus(predictions: Sequence[Prediction]) -> dict[str, Measure]:
    answers = [prediction.answer for prediction in predictions]
    return {"chrf": chrf(answers, [references_of(prediction) for prediction in predictions])}


FEEDBACK = Kind("rouge_l", _judge, _corpus)
