"""Is the answer to an open question right?

exact_match   it is a right answer, but for case and final punctuation   (headline)
token_f1      words that it shares with the nearest right answer
contains      a right answer stands in it
"""

from __future__ import annotations

from flipbook.model.generation import answers_match
from flipbook.score.kinds.kind import Judgement, Kind
from flipbook.score.metrics.overlap import contains, token_f1
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion


def _judge(question: AskedQuestion, answer: Answer) -> Judgement:
    references = question.references
    is_right = any(answers_match(answer.text, reference) for reference in references)
    return Judgement(
        {
            "exact_match": float(is_right),
            "token_f1": token_f1(answer.text, references),
            "contains": float(contains(answer.text, references)),
        }
    )


OPEN = Kind("exact_match", _judge)
