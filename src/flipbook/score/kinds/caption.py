"""How good is the description of a clip?

rouge_l   the longest run of shared words, gaps allowed   (headline)
meteor    shared words and synonyms; where nltk's wordnet data are installed
bleu_4    shared runs of 1 to 4 words, of all captions together
chrf      shared runs of 1 to 6 characters, of all captions together
cider_d   agreement with what is typical of the clip, 0 to 10
"""

from __future__ import annotations

from collections.abc import Sequence

from flipbook.score.kinds.kind import Judgement, Kind, references_of
from flipbook.score.measure import Measure, mean_of
from flipbook.score.metrics.cider import cider_d
from flipbook.score.metrics.corpus import bleu_4, chrf
from flipbook.score.metrics.meteor import meteor, missing_meteor
from flipbook.score.metrics.rouge import rouge_l
from flipbook.score.prediction import Answer, Prediction
from flipbook.score.questions import AskedQuestion


def _judge(question: AskedQuestion, answer: Answer) -> Judgement:
    measures = {"rouge_l": rouge_l(answer.text, question.references)}
    if missing_meteor() is None:
        measures["meteor"] = meteor(answer.text, question.references)
    return Judgement(measures)


def _corpus(predictions: Sequence[Prediction]) -> dict[str, Measure]:
    answers = [prediction.answer for prediction in predictions]
    references = [references_of(prediction) for prediction in predictions]
    return {
        "bleu_4": bleu_4(answers, references),
        "chrf": chrf(answers, references),
        # What n-grams weigh is told by all references; on other draws it is left as it is.
        "cider_d": mean_of(cider_d(answers, references), in_unit_range=False),
    }


CAPTION = Kind("rouge_l", _judge, _corpus)
