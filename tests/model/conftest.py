"""The clips, the model and the true sizes that several tests of models read."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from fixtures_model import make_checkpoint
from fixtures_video import make_clip
from flipbook.model.checkpoint import Checkpoint

__all__ = ["make_clip"]


@pytest.fixture(scope="session")
def seeing_checkpoint() -> Checkpoint:
    """A small random model, in memory, that reads clips of 4 frames at 128 px."""
    return make_checkpoint()


@pytest.fixture(scope="session")
def random_script() -> ModuleType:
    """The script that knows the true sizes of FastVLM."""
    path = Path(__file__).parents[2] / "scripts" / "make_random_checkpoint.py"
    spec = importlib.util.spec_from_file_location("make_random_checkpoint", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
