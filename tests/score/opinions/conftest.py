"""The predictions and the small text model of the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from fixtures_model import VOCABULARY_ROWS, make_tokenizer
from flipbook.score.prediction import Prediction

Predict = Callable[..., Prediction]


def make_text_model(*, num_positions: int = 2048) -> Any:
    """A random Qwen2 over the words of `make_tokenizer`."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCABULARY_ROWS,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=num_positions,
    )
    return Qwen2ForCausalLM(config).eval()


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a text model with a chat template."""
    folder = tmp_path_factory.mktemp("models") / "small-judge"
    make_text_model().save_pretrained(folder)
    make_tokenizer(knows_image=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def predict() -> Predict:
    """Makes a prediction; `fields` are those that differ."""

    def made(answer: str, *references: str, **fields: Any) -> Prediction:
        facts = {"record_id": "r1", "number": 1, "task": None, "kind": "open", "video": "a.mp4"}
        facts |= {"question": "What moves?", "reference": references[0], "value": 0.0}
        measures = {"exact_match": 0.0}
        return Prediction(
            **{"answer": answer, "references": references, "measures": measures} | facts | fields
        )

    return made
