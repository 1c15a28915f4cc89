"""Is METEOR nltk's, and left out with a reason where it cannot be computed?"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import nltk.corpus
import pytest
from nltk.translate.meteor_score import meteor_score

from flipbook.score.metrics import meteor as module


class _Wordnet:
    """Knows one pair of synonyms."""

    def ensure_loaded(self) -> None:
        pass

    def synsets(self, word: str) -> list[Any]:
        names = ["man", "person"] if word in ("man", "person") else [word]
        lemmas = [SimpleNamespace(name=lambda name=name: name) for name in names]
        return [SimpleNamespace(lemmas=lambda: lemmas)]


class _NoData:
    def ensure_loaded(self) -> None:
        raise LookupError("Resource wordnet not found")


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    module.missing_meteor.cache_clear()
    yield
    module.missing_meteor.cache_clear()


def test_the_nearest_reference_counts_with_synonyms(monkeypatch: pytest.MonkeyPatch) -> None:
    wordnet = _Wordnet()
    monkeypatch.setattr(nltk.corpus, "wordnet", wordnet)
    references = ["A man lifts the red box.", "Somebody walks."]
    words = [["a", "man", "lifts", "the", "red", "box"], ["somebody", "walks"]]
    said = ["the", "person", "lifts", "a", "box"]
    wanted = meteor_score(words, said, wordnet=wordnet)  # type: ignore[arg-type]
    value = module.meteor("The person lifts a box!", references)
    assert value == pytest.approx(wanted, abs=1e-9)
    assert value > module.meteor("The boy lifts a box!", references)
    assert module.meteor("", references) == 0.0


def test_it_is_known_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.corpus, "wordnet", _Wordnet())
    assert module.missing_meteor() is None


def test_missing_data_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.corpus, "wordnet", _NoData())
    assert module.missing_meteor() == (
        "nltk has no wordnet data; get them with: python -m nltk.downloader wordnet"
    )


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert module.missing_meteor() == "nltk is not installed; install flipbook-vlm[meteor]"
