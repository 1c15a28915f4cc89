"""The clips and the model that the tests of the processor read."""

from __future__ import annotations

import pytest

from fixtures_model import make_checkpoint
from fixtures_video import make_clip
from flipbook.model.checkpoint import Checkpoint

__all__ = ["make_clip"]


@pytest.fixture(scope="session")
def seeing_checkpoint() -> Checkpoint:
    """A small random model, in memory, that reads clips of 4 frames at 128 px."""
    return make_checkpoint()
