"""How many validation questions does the model answer right, as it is now?

model, dataset, indices -> answers in words -> a number
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flipbook.data.dataset import LazySupervisedDataset
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.generation import Prompt, answers_match, generate_answers


def spread(length: int, number: int) -> list[int]:
    """Return `number` places of `length`, evenly over all, so that no task at its end is left out.

    10 and 4  ->  0, 2, 5, 7
    """
    return [place * length // number for place in range(number)]


def count_right(
    model: Any,
    checkpoint: Checkpoint,
    dataset: LazySupervisedDataset,
    indices: Sequence[int],
    *,
    batch_size: int,
    max_new_tokens: int,
) -> int:
    """Return how many of the chosen questions `model` answers as their records do.

    `checkpoint` gives the tokenizer and the statistics of pictures.

    Raises:
        MediaError: a clip cannot be read.
    """
    num_right = 0
    for start in range(0, len(indices), batch_size):
        questions = [dataset.question(index) for index in indices[start : start + batch_size]]
        answers = generate_answers(
            model,
            checkpoint.tokenizer,
            [Prompt(q.record_id, q.input_ids, q.frames) for q in questions],
            image_mean=checkpoint.image_mean,
            image_std=checkpoint.image_std,
            batch_size=len(questions),
            max_new_tokens=max_new_tokens,
        )
        pairs = zip(answers, questions, strict=True)
        num_right += sum(answers_match(answer, question.reference) for answer, question in pairs)
    return num_right
