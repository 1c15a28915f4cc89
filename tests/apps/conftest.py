"""The model that answers in the tests of this folder."""

from __future__ import annotations

import pytest

from fixtures_model import make_checkpoint
from flipbook.model.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def seeing_checkpoint() -> Checkpoint:
    """A small random model, in memory, that reads clips of 4 frames at 128 px."""
    return make_checkpoint()
