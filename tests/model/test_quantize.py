"""Quantised loading says what it lacks, and leaves eyes and head as they are."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from transformers.quantizers.quantizers_utils import should_convert_module

from fixtures_model import make_model
from flipbook.errors import ArgumentError
from flipbook.model.quantize import quantization_kwargs


def test_nothing_is_quantised_unasked() -> None:
    assert quantization_kwargs(None, compute_dtype=torch.float32) == {}


def test_an_unknown_word_gets_a_suggestion() -> None:
    with pytest.raises(ArgumentError, match="known are 4bit, 8bit. Did you mean '4bit'"):
        quantization_kwargs("4bits", compute_dtype=torch.float32)


def test_no_gpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match="needs a CUDA GPU"):
        quantization_kwargs("8bit", compute_dtype=torch.float32)


def test_no_bitsandbytes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r"pip install 'flipbook-vlm\[quantization\]'"):
        quantization_kwargs("4bit", compute_dtype=torch.float32)


def test_only_matrices_of_the_language_model_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    kwargs = quantization_kwargs("8bit", compute_dtype=torch.bfloat16)
    model = make_model(image_token_id=260)
    skipped = kwargs["quantization_config"].llm_int8_skip_modules
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            shrinks = should_convert_module(name, skipped)
            assert shrinks == name.startswith("model.language_model."), name
    assert kwargs["device_map"] == {"": 0}
