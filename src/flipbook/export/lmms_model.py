"""Which class does lmms-eval make of this model?

    lmms-eval's requests  ->  Questions  ->  answers, in order

The only module that needs lmms-eval, and it is imported by nothing but lmms-eval itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from accelerate import Accelerator
from lmms_eval.api.instance import GenerationResult
from lmms_eval.api.model import lmms

from flipbook.errors import ArgumentError
from flipbook.export.lmms import Question, answer_questions, open_for_task, score_choices

ROUNDS_AT_MOST = 100  # a task that never says that it is done


class FlipbookModel(lmms):  # type: ignore[misc]
    """A checkpoint of flipbook as lmms-eval asks it.

    Args:
        pretrained: a run folder, a model folder, a hub id, or "tiny".
        dtype: of the weights: float32, bfloat16 or float16.
        device: where to put the model; without one, the accelerator where there is one.
        batch_size: prompts answered at once.
        clip_settings: fields of ClipSettings, in place of those saved in the checkpoint.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = "tiny",
        dtype: str = "float32",
        device: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,  # noqa: ARG002  lmms-eval always gives it
        **clip_settings: Any,
    ) -> None:
        super().__init__()
        self.accelerator = Accelerator()
        self._rank = self.accelerator.local_process_index
        self._world_size = self.accelerator.num_processes
        self.checkpoint = open_for_task(str(pretrained), dtype=dtype, overrides=clip_settings)
        if device is not None and self._world_size == 1:
            self.checkpoint.model.to(device)
        self.batch_size = int(batch_size)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.checkpoint.model.device
        return device

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Return the answer to each request."""
        questions = [self._question(*request.args) for request in requests]
        answers = answer_questions(self.checkpoint, questions, batch_size=self.batch_size)
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial("generate_until", request.args[:2], answer)
        return answers

    def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
        """Return, for each request, how unlikely its choice is, and whether it is the answer.

        lmms-eval 0.7.3 turns a bare pair into text and then fails; wrapped, it passes unharmed.

        Raises:
            ArgumentError: a request has no question, as `acc_mutual_info` wants.
        """
        if any(len(request.args) != 6 for request in requests):
            raise ArgumentError(
                "the task asks for a choice without its question (acc_mutual_info), and flipbook "
                "scores answers to questions. Take another metric of the task."
            )
        scores: list[tuple[float, bool]] = []
        all_args = [request.args for request in requests]
        for _, same in groupby(all_args, key=lambda args: (args[0], *args[3:])):
            choices = list(same)  # of one question
            context, _, doc_to_visual, doc_id, task, split = choices[0]
            doc = self._doc(task, split, doc_id)
            words = [str(args[1](doc)) if callable(args[1]) else args[1] for args in choices]
            question = self._question(context, {}, doc_to_visual, doc_id, task, split)
            scores += score_choices(self.checkpoint, question, words)
        return [GenerationResult(text=score) for score in scores]

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[list[str]]:
        """Return the answers of each request, one a round, until its task says that it is done."""
        return [self._rounds(*request.args) for request in requests]

    def _rounds(
        self,
        context: str,
        generation: dict[str, Any],
        doc_to_visual: Any,
        doc_to_text: Any,
        doc_id: int,
        task: str,
        split: str,
    ) -> list[str]:
        """Return the answers of all rounds; what a round shows and asks is told by the task."""
        doc = self._doc(task, split, doc_id)
        visuals, answers, info = doc_to_visual(doc) or [], [], None
        for number in range(1, ROUNDS_AT_MOST + 1):
            question = Question(f"{task} {doc_id}", context, tuple(visuals), generation)
            answers += answer_questions(self.checkpoint, [question], batch_size=1)
            visuals, context, is_over, told, info = doc_to_text(
                doc, previous_output=answers, round_idx=number, previous_round_info=info
            )
            answers = list(told)
            if is_over:
                return answers
            visuals = visuals or []
        raise ArgumentError(f"{task}: a question went on for more than {ROUNDS_AT_MOST} rounds.")

    def _question(
        self,
        context: str,
        generation: dict[str, Any],
        doc_to_visual: Any,
        doc_id: int,
        task: str,
        split: str,
    ) -> Question:
        """Return one request of lmms-eval as a question."""
        visuals = doc_to_visual(self._doc(task, split, doc_id)) if doc_to_visual else None
        shown = visuals if isinstance(visuals, (list, tuple)) else [visuals] if visuals else []
        return Question(f"{task} {doc_id}", context, tuple(shown), generation)

    def _doc(self, task: str, split: str, doc_id: int) -> Any:
        return self.task_dict[task][split][doc_id]
