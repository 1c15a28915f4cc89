"""What is one thing to learn from, and one thing to ask?

Record + frames -> Sample (with labels)  or  Question (without its answer)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sample:
    """One conversation with its frames, ready to be put into a batch.

    Attributes:
        record_id: which record it is.
        input_ids: int64 (L,).
        labels: int64 (L,); -100 wherever nothing is to be learned.
        frames: uint8 (T, 3, S, S), in the order of their placeholders; T is 0 for text alone.
        num_repeated: how many of the frames repeat another one, because the clip is shorter.
        num_mismatched_tokens: by how many tokens encoding the whole text at once would differ.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """

    record_id: str
    input_ids: Tensor
    labels: Tensor
    frames: Tensor
    num_repeated: int = 0
    num_mismatched_tokens: int = 0

    def __post_init__(self) -> None:
        if self.input_ids.ndim != 1 or self.input_ids.shape != self.labels.shape:
            shapes = f"{tuple(self.input_ids.shape)} and {tuple(self.labels.shape)}"
            raise ValueError(f"input_ids and labels must both be (L,), got {shapes}")
        if self.frames.ndim != 4 or self.frames.dtype != torch.uint8:
            got = f"{self.frames.dtype} {tuple(self.frames.shape)}"
            raise ValueError(f"frames must be uint8 (T, 3, S, S), got {got}")


@dataclass(frozen=True)
class Question:
    """The last question of a conversation as it stands before its answer.

    Attributes:
        record_id: which record it is of.
        input_ids: int64 (L,), up to where the answer starts.
        frames: uint8 (T, 3, S, S).
        reference: the answer that the record gives.
    """

    record_id: str
    input_ids: Tensor
    frames: Tensor
    reference: str
