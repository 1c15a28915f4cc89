"""Does a model tell when something happens?

tiou            overlap of its stretch of time with the right one, over both   (headline)
recall_at_0_3   share of answers that overlap by 0.3 or more; so at 0.5 and 0.7
unparsed        no stretch of time is said, or not just one: its overlap is 0

right:   3 ------- 9
answer:       6 ------- 12     3 s in both, 9 s in either: 0.33
"""

from __future__ import annotations

import re

from flipbook.errors import RecordError
from flipbook.score.kinds.kind import Judgement, Kind
from flipbook.score.prediction import Answer
from flipbook.score.questions import AskedQuestion

THRESHOLDS = (0.3, 0.5, 0.7)
Span = tuple[float, float]

LATEST_S = 1e9  # as of the spans of a record
_CLOCK = re.compile(r"\d+(?::[0-5]?\d){0,2}(?:\.\d+)?")
_INSTANT = rf"{_CLOCK.pattern}\s*(?:s|secs?\.?|seconds?)?"
_SPAN = re.compile(
    rf"(?P<lead>[^\d\[]*?)(?:\[\s*{_INSTANT}\s*,\s*{_INSTANT}\s*\]"
    rf"|(?<![\w.:-]){_INSTANT}\s*(?P<joined>-|–|—|to|and|until|till)\s*{_INSTANT})"
    r"(?:\s*seconds)?\s*[.!]*",
    re.IGNORECASE,
)
# Words before the instants by which they would mean something else than seconds of the event.
_OTHER_MEANING = re.compile(r"\b(not|never|no|frames?|minutes?|hours?|except|without)\b|n't", re.I)


def parse_span(text: str) -> Span | None:
    """Return the one stretch of time that a text tells, in seconds, as (start, end).

        "From 3.0 to 9.5 seconds."    "3s to 9.5s"    "between 3 and 9.5 seconds"
        "0:03-0:09.5"    "[3.0, 9.5]"    "The door opens from 3.0 to 9.5 seconds."

    None where there are not exactly two instants, the first is the later one, more is said behind
    them, or the words before them deny it or count something else than seconds.
    """
    text = " ".join(text.split())
    match = _SPAN.fullmatch(text)
    if match is None or _OTHER_MEANING.search(match["lead"]):
        return None
    lead, joined = match["lead"].lower().rstrip(), match["joined"]
    if joined is not None and (joined.lower() == "and") != lead.endswith("between"):
        return None  # "at 3 and 9" are two instants, and "between 3 to 9" is neither
    start, end = (_seconds(clock) for clock in _CLOCK.findall(text))
    return (start, end) if start <= end < LATEST_S else None


def tiou(first: Span, second: Span) -> float:
    """Return how far two stretches of time overlap, 0 to 1: what is in both over what is in either.

    Two stretches of no length have 1 if they are the same instant; one of no length has 0 with any
    other, also with one in which it lies.

    Source: the localisation metric of ActivityNet, Caba Heilbron et al., 2015.
    """
    if first == second:
        return 1.0
    shared = max(0.0, min(first[1], second[1]) - max(first[0], second[0]))
    either = (first[1] - first[0]) + (second[1] - second[0]) - shared
    return shared / either if either > 0 else 0.0


def right_spans(question: AskedQuestion) -> tuple[Span, ...]:
    """Return the stretches of time that are right, each alone; the reference's if none is listed.

    Raises:
        RecordError: none is listed, and the reference tells of none.
    """
    if question.extras.spans:
        return question.extras.spans
    spans = [parse_span(reference) for reference in question.references]
    told = tuple(span for span in spans if span is not None)
    if not told:
        raise RecordError(
            question.record_id,
            f"asks when something happens, and its reply {question.reference!r} tells no stretch "
            "of time; write it under 'spans', in seconds: [[3.0, 9.5]]",
        )
    return told


def _judge(question: AskedQuestion, answer: Answer) -> Judgement:
    right = right_spans(question)
    said = parse_span(answer.text)
    overlap = 0.0 if said is None else max(tiou(said, span) for span in right)
    measures = {"tiou": overlap}
    for threshold in THRESHOLDS:
        measures[f"recall_at_{threshold}".replace(".", "_")] = float(overlap >= threshold)
    return Judgement(measures | {"unparsed": float(said is None)})


def _seconds(clock: str) -> float:
    """Return an instant: 9.5, or 1:09.5, or 0:01:09.5."""
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


WHEN = Kind("tiou", _judge, right=right_spans)
