"""Which model answers, and where?

name, or Checkpoint in memory  ->  Checkpoint on the fastest device
"""

from __future__ import annotations

from pathlib import Path

import torch

from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.words_of import load_words_of

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Source = str | Path | Checkpoint


def open_model(
    source: Source, *, dtype: torch.dtype = torch.float32, base: str | Path | None = None
) -> Checkpoint:
    """Return the model behind a name, on the accelerator where there is one.

    A model that is in memory is returned as it is, where it is. `base` is the model under an
    adapter, where it is no longer in its place.

    Raises:
        CheckpointError: it cannot be loaded.
        ArgumentError: `base` is given for a whole model.
    """
    if isinstance(source, Checkpoint):
        return source
    checkpoint = load_checkpoint(source, dtype=dtype, base=base)
    device = torch.accelerator.current_accelerator(check_available=True)
    if device is not None:
        checkpoint.model.to(device)
    return checkpoint


def check_model(source: Source | None, *, base: str | Path | None = None) -> None:
    """Check that the model behind a name can be loaded, by all of it but its weights.

    Raises:
        CheckpointError: it cannot.
        ArgumentError: `base` is given for a whole model.
    """
    if source is not None and not isinstance(source, Checkpoint):
        load_words_of(source, base=base)


def name_of(source: Source | None) -> str | None:
    """Return the name under which a model was given; None for none, and for one in memory."""
    return None if source is None or isinstance(source, Checkpoint) else str(source)
