"""What does a model answer to the same few questions as it learns?

    the answers of each evaluation  ->  RUN/followed.jsonl: a line for each step and question

The first lines are of step 0, before anything is learned. A run that goes on continues the file:
see `lines.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from flipbook.data.json_text import json_line
from flipbook.score.prediction import Prediction
from flipbook.train.examining.answers import Examination
from flipbook.train.lines import add_line, keep_until
from flipbook.train.progress import Throughput

FOLLOWED_FILE = "followed.jsonl"
Answering = Callable[[Examination], list[Prediction]]


class FollowedAnswers(TrainerCallback):
    """Writes down what is answered to a few questions.

    Args:
        path: of the file.
        examination: the questions, which are among those of every evaluation.
        answer: lets the model answer, in all processes alike.
        throughput: the clock of training, which stands still meanwhile.
    """

    def __init__(
        self, path: Path, examination: Examination, *, answer: Answering, throughput: Throughput
    ) -> None:
        self.path = path
        self.examination = examination
        self._answer = answer
        self._throughput = throughput
        self._keys = {question.key for question in examination.questions}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep what a run that goes on has written, or let the model answer before it learns."""
        if state.is_world_process_zero:
            keep_until(self.path, state.global_step if state.global_step else -1)
        if state.global_step == 0 and not args.eval_on_start:  # which would be the same answers
            self._throughput.pause()
            self.note(self._answer(self.examination), state)
            self._throughput.start()

    def note(self, predictions: Sequence[Prediction], state: Any) -> None:
        """Write lines for those predictions that are followed."""
        if not state.is_world_process_zero:
            return
        for prediction in predictions:
            if prediction.key in self._keys:
                add_line(self.path, json_line(_line_of(prediction, state.global_step)))


def _line_of(prediction: Prediction, step: int) -> dict[str, Any]:
    names = ("record_id", "number", "task", "question", "reference", "answer", "value")
    return {"step": step} | {name: getattr(prediction, name) for name in names}
