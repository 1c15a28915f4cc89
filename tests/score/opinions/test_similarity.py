"""Is the similarity of sentences a cosine, and is what is missing told?"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flipbook.errors import ArgumentError, CheckpointError
from flipbook.score.opinions.similarity import SimilarityModel

VECTORS = {"a dog": (3, 4), "a puppy": (4, 3), "a cat": (-4, 3), "": (3, 4)}


class _Sentences:
    """Stands for a model of sentence-transformers, which this checkout does not need."""

    made: dict[str, Any] = {}

    def __init__(self, folder: str, **settings: Any) -> None:
        type(self).made = {"folder": folder, **settings}

    def encode(self, texts: Sequence[str], *, normalize_embeddings: bool, **_: Any) -> Any:
        assert normalize_embeddings and len(set(texts)) == len(texts)
        return np.array([VECTORS[text] for text in texts], dtype=np.float32) / 5


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "small-sentences"
    made.mkdir()
    (made / "modules.json").write_text("[]")
    return made


def _install(monkeypatch: pytest.MonkeyPatch, kind: Callable[..., Any]) -> None:
    package = SimpleNamespace(SentenceTransformer=kind)
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)  # type: ignore[arg-type]


def test_the_nearest_reference_counts(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    _install(monkeypatch, _Sentences)
    model = SimilarityModel(folder, device="cpu")
    answers = ["a dog", "a cat", "a dog", ""]
    references = [["a cat", "a puppy"], ["a puppy"], ["a dog"], ["a dog"]]
    values = model.similarity(answers, references)
    assert values == pytest.approx([24 / 25, -7 / 25, 1.0, 0.0], abs=1e-6)
    assert all(-1 <= value <= 1 for value in values)


def test_nothing_is_downloaded_or_unpickled(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    _install(monkeypatch, _Sentences)
    model = SimilarityModel(folder, device="cpu")
    assert _Sentences.made == {
        "folder": str(folder),
        "device": "cpu",
        "local_files_only": True,
        "model_kwargs": {"use_safetensors": True},
    }
    assert model.facts.name == "small-sentences"
    assert len(model.facts.sha256) == 64


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)  # type: ignore[arg-type]
    message = r'not installed. Install it with: pip install "flipbook-vlm\[similarity\]"'
    with pytest.raises(ArgumentError, match=message):
        SimilarityModel(folder)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    message = r"--similarity_model .*nowhere: there is no folder with modules.json or config.json"
    with pytest.raises(ArgumentError, match=message):
        SimilarityModel(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_read_is_told(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no file named\nmodel.safetensors")

    _install(monkeypatch, refuse)
    with pytest.raises(CheckpointError, match=r"read from here \(no file named model.safetensors"):
        SimilarityModel(folder)


def test_vectors_that_are_no_numbers_are_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    _install(monkeypatch, _Sentences)
    model = SimilarityModel(folder)
    monkeypatch.setitem(VECTORS, "a dog", (float("nan"), 0))  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="small-sentences: the similarity model computes"):
        model.similarity(["a dog"], [["a cat"]])


def test_lists_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    _install(monkeypatch, _Sentences)
    model = SimilarityModel(folder)
    with pytest.raises(ValueError, match="shorter than argument 1"):
        model.similarity(["a dog", "a cat"], [["a cat"]])
    with pytest.raises(ValueError, match="empty"):
        model.similarity(["a dog"], [[]])
