"""What is a question of a given kind called in words?

    "Why?", ["rain", "snow"], right: "snow"  ->  "Why?\\nA. rain\\nB. snow\\n...", "B"

The one copy of these words: training and evaluation ask alike.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

CAPTION_PROMPT = "Describe this video."
FEEDBACK_PROMPT = "How is this exercise done, and what should be done better?"
WHEN_PROMPT = 'When does this happen: "{event}"? Give the start and the end in seconds.'
CLASS_PROMPT = "Which of these does the video show: {classes}? Answer with one of them."
CHOICE_ENDING = "Answer with the option's letter from the given choices directly."
MOST_OPTIONS = len(string.ascii_uppercase)
MOST_CLASSES_NAMED = 50  # of a prompt; with more the classes are left out of it
MANY_CLASSES_PROMPT = "What does the video show? Answer with the name of the class."


def letter_of(place: int) -> str:
    """Return the letter of an option: 0 is A."""
    return string.ascii_uppercase[place]


def choice_question(question: str, options: Sequence[str]) -> str:
    """Return a question with its options, each behind its letter.

    Raises:
        ValueError: there are more options than letters.
    """
    if len(options) > MOST_OPTIONS:
        raise ValueError(f"{len(options)} options, and there are {MOST_OPTIONS} letters")
    lines = [f"{letter_of(place)}. {option}" for place, option in enumerate(options)]
    return "\n".join([question.strip(), *lines, CHOICE_ENDING])


def class_question(classes: Sequence[str]) -> str:
    """Return the question which of some classes a clip belongs to."""
    if len(classes) > MOST_CLASSES_NAMED:
        return MANY_CLASSES_PROMPT
    return CLASS_PROMPT.format(classes=", ".join(classes))


def when_question(event: str) -> str:
    """Return the question when something happens."""
    return WHEN_PROMPT.format(event=event.strip().rstrip("."))


def span_answer(start_s: float, end_s: float) -> str:
    """Return a stretch of time in words: "From 3.0 to 9.5 seconds."."""
    return f"From {start_s:.1f} to {end_s:.1f} seconds."
