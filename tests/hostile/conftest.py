"""Fixtures of the tests with hostile files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures_hostile import make_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all files of the tables in `fixtures_hostile`."""
    folder = tmp_path_factory.mktemp("hostile") / "corpus"
    make_corpus(folder)
    return folder
