"""Fixtures that all tests share; each family has a module of its own."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

torch.set_num_threads(1)

pytest_plugins = ["fixtures_model", "fixtures_tokenizer", "fixtures_data", "fixtures_llama"]
