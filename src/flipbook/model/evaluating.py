"""How does a model that may be in the middle of its training give answers?

model as it is found  ->  model that keeps still, for a while  ->  model as it was found
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Let a model answer: in `eval()`, without gradients, its weights' dtypes let meet.

    Afterwards every module is in the mode in which it was found: a frozen tower was in eval.
    """
    was_training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode(), _one_precision(model):
            yield
    finally:
        for module, training in was_training:
            module.training = training


def _one_precision(model: nn.Module) -> AbstractContextManager[Any]:
    """Let weights of several dtypes meet: a model in training may be float32 on a frozen bf16."""
    weights = [weight for weight in model.parameters() if weight.is_floating_point()]
    dtypes = {weight.dtype for weight in weights}
    if len(dtypes) == 1:
        return nullcontext()
    smallest = min(dtypes, key=lambda dtype: dtype.itemsize)
    return torch.autocast(weights[0].device.type, dtype=smallest)
