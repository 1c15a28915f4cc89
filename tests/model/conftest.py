"""The clips, the model and the true sizes that several tests of models read."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from fixtures_video import make_clip

__all__ = ["make_clip"]


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
