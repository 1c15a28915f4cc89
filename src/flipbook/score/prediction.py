"""What did a model answer to one question, and how good is that?

AskedQuestion, Answer  ->  Prediction  <->  one line of predictions.jsonl
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NUM_RANKED = 5  # options that a line of predictions.jsonl tells of


@dataclass(frozen=True)
class Answer:
    """What a model gives for one question.

    Attributes:
        text: generated, greedily, without white space around it.
        option_log_likelihoods: of each of the question's options as an answer, its end token
            included; natural logarithms, summed over tokens. Empty where there are no options.
        reordered_choice: place, among the question's options, of the most likely one when they are
            asked in another order; None where that was not asked.
    """

    text: str
    option_log_likelihoods: tuple[float, ...] = ()
    reordered_choice: int | None = None


@dataclass(frozen=True)
class Prediction:
    """What a model answered to one question, and how good that is.

    Attributes:
        record_id, number: which question it is, see `AskedQuestion`.
        task, kind, question, reference: of the question.
        video: questions with the same one are about the same source.
        answer: as generated.
        value: the headline measure of the kind, 0 to 1.
        measures: all measures of this question alone, by name; without those that say nothing
            about it.
        references: all right answers, the record's own first.
        options, option_log_likelihoods: as in the question and in the `Answer`.
        right_option: place of the right one among `options`.
        choice: place of the most likely option; None without options.
    """

    record_id: str
    number: int
    task: str | None
    kind: str
    video: str
    question: str
    reference: str
    answer: str
    value: float
    measures: Mapping[str, float] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    option_log_likelihoods: tuple[float, ...] = ()
    right_option: int | None = None
    choice: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What no other question of a data set has."""
        return self.record_id, self.number

    @property
    def correct(self) -> bool:
        """Whether it is as good as can be."""
        return self.value >= 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return a line of predictions.jsonl; of the options, the most likely ones."""
        ranked = sorted(
            range(len(self.option_log_likelihoods)),
            key=lambda place: -self.option_log_likelihoods[place],
        )
        line = {
            "record_id": self.record_id,
            "number": self.number,
            "task": self.task,
            "kind": self.kind,
            "video": self.video,
            "question": self.question,
            "reference": self.reference,
            "answer": self.answer,
            "correct": self.correct,
            "value": self.value,
            "measures": dict(self.measures),
        }
        if len(self.references) > 1:
            line["references"] = list(self.references)
        if self.options:
            line["right_option"] = self._option(self.right_option)
            line["choice"] = self._option(self.choice)
            line["ranked"] = [
                [self.options[place], self.option_log_likelihoods[place]]
                for place in ranked[:NUM_RANKED]
            ]
        return line

    def _option(self, place: int | None) -> str | None:
        return None if place is None else self.options[place]
