"""How near in meaning is an answer to a right one, in the opinion of a model of sentences?

    answer, right answers  ->  vectors  ->  cosine of the nearest, -1 to 1

Needs the package sentence-transformers and the folder of one of its models, on this machine.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipbook.errors import ArgumentError, CheckpointError
from flipbook.score.opinions.facts import folder_sha256

_FILES = ("modules.json", "config.json")


@dataclass(frozen=True)
class SimilarityFacts:
    """Which model compared sentences: the name of its folder, and its `folder_sha256`."""

    name: str
    sha256: str


class SimilarityModel:
    """A model of sentences.

    Args:
        folder: of a model of sentence-transformers; nothing is downloaded.
        device: where it computes.

    Raises:
        ArgumentError: sentence-transformers is not installed, or there is no such folder.
        CheckpointError: the folder holds no model that can be read.
    """

    def __init__(self, folder: str | Path, *, device: str = "cpu") -> None:
        path = check_similarity(folder)
        self._model = _load(path, device)
        self.facts = SimilarityFacts(path.name, folder_sha256(path))

    def similarity(
        self, answers: Sequence[str], references: Sequence[Sequence[str]]
    ) -> list[float]:
        """Return the similarity of each answer to the nearest of its references, -1 to 1.

        An answer without words has 0.

        Raises:
            CheckpointError: the model computes what is not a number.
            ValueError: there are not as many lists of references as answers, or one is empty.
        """
        pairs = list(zip(answers, references, strict=True))
        texts = dict.fromkeys(text for answer, right in pairs for text in (answer, *right))
        vectors = self._model.encode(
            list(texts),
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )  # (texts, D)
        of = dict(zip(texts, vectors, strict=True))
        return [
            max(self._cosine(of[answer], of[text]) for text in right) if answer.strip() else 0.0
            for answer, right in pairs
        ]

    def _cosine(self, first: Any, second: Any) -> float:
        value = float(first @ second)
        if math.isnan(value):
            raise CheckpointError(
                f"{self.facts.name}: the similarity model computes vectors that are not numbers. "
                "Download it again, or choose another one."
            )
        return min(1.0, max(-1.0, value))


def check_similarity(folder: str | Path) -> Path:
    """Return the folder of a model of sentences, where there is one and the package for it.

    Raises:
        ArgumentError: sentence-transformers is not installed, or there is no such folder.
    """
    path = Path(folder).expanduser().absolute()
    if not any((path / name).is_file() for name in _FILES):
        raise ArgumentError(
            f"--similarity_model {folder}: there is no folder with {' or '.join(_FILES)} in "
            "it. Download a model of sentence-transformers, and give its folder."
        )
    _package()
    return path


def _package() -> Any:
    try:
        return importlib.import_module("sentence_transformers")
    except ImportError as error:
        raise ArgumentError(
            "--similarity_model needs the package sentence-transformers, which is not installed. "
            'Install it with: pip install "flipbook-vlm[similarity]"'
        ) from error


def _load(folder: Path, device: str) -> Any:
    package = _package()
    try:
        return package.SentenceTransformer(
            str(folder),
            device=device,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{folder}: no model of sentence-transformers can be read from here ({reason}). Give "
            "the folder of one, with its weights in safetensors."
        ) from error
