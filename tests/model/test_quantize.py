"""Quantised loading says what it lacks, and leaves eyes and head as they are."""

from __future__ import annotations

import importlib.util

import pytest
import torch

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
