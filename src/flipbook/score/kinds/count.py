"""Does a model count right?

accuracy         the number is right   (headline)
within_one       it is wrong by at most one
absolute_error   by how much it is wrong, over the answers that tell a number
unparsed         the answer tells no number, or not just one
"""

from __future__ import annotations

import re

from flipbook.errors import RecordError
from flipbook.score.kinds.kind import Judgement, Kind
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion

TOO_LARGE = 1e9  # to be counted; such digits are a model that repeats itself
_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL = ("zero", *_ONES, *_TEENS, "eighteen", "nineteen")
_NUMBER_OF = {word: float(number) for number, word in enumerate(_SMALL)} | {
    word: 10.0 * number for number, word in enumerate(_TENS, start=2)
}
_NUMBER = re.compile(
    r"(?<![\w.])(?P<digits>-?\d+(?:,\d{3})*(?:\.\d+)?)(?![\w%])"
    rf"|\b(?P<tens>{'|'.join(_TENS)})[-\s]+(?P<ones>{'|'.join(_ONES)})\b"
    rf"|\b(?P<word>{'|'.join(_NUMBER_OF)})\b",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
# Words by which a number beside them is not the number that was counted.
_OTHER_NUMBER = re.compile(
    r"\b(?:hundreds?|thousands?|millions?|billions?|dozens?|half|halves|no\s+one)\b", re.IGNORECASE
)


def parse_number(text: str) -> float | None:
    """Return the one number that a text tells, in digits or as a word up to ninety-nine.

        "3"   "Three times."   "twenty-one"   "1,200"

    None for none and for several, for parts of words ("3x", "21st", "5%"), for words of larger
    numbers or of parts of one ("one hundred", "a dozen", "two and a half"), and from 10^9 on.
    """
    found = list(_NUMBER.finditer(text))
    if len(found) != 1 or _OTHER_NUMBER.search(text):
        return None
    (match,) = found
    around = text[: match.start()] + text[match.end() :]
    number = _number_in(match)
    return number if number < TOO_LARGE and not _DIGIT.search(around) else None


def _number_in(match: re.Match[str]) -> float:
    if match["digits"]:
        return float(match["digits"].replace(",", ""))
    if match["tens"]:
        return _NUMBER_OF[match["tens"].lower()] + _NUMBER_OF[match["ones"].lower()]
    return _NUMBER_OF[match["word"].lower()]


def right_number(question: AskedQuestion) -> float:
    """Return the number that is right: the record's 'answer', or else the one in its reply.

    Raises:
        RecordError: it tells no number, or several.
    """
    told = question.extras.answer or question.reference
    number = parse_number(told)
    if number is None:
        raise RecordError(
            question.record_id,
            f"asks for a number, and its answer is {told!r}; write the number under 'answer'",
        )
    return number


def _judge(question: AskedQuestion, answer: Answer) -> Judgement:
    right, said = right_number(question), parse_number(answer.text)
    error = None if said is None else abs(said - right)
    measures = {
        "accuracy": float(error == 0),
        "within_one": float(error is not None and error <= 1),
    }
    if error is not None:
        measures["absolute_error"] = error
    return Judgement(measures | {"unparsed": float(said is None)})


COUNT = Kind("accuracy", _judge, right=right_number)
