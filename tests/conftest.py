"""Fixtures that all tests share; each family has a module of its own."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

# Tables of conversations go where nobody else's are, also those of processes that tests start.
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp(prefix="flipbook-tests-")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

torch.set_num_threads(1)
# Begun in the background of a shell, this process and those that it starts would ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
atexit.register(shutil.rmtree, os.environ["HF_DATASETS_CACHE"], ignore_errors=True)

pytest_plugins = [
    "fixtures_model",
    "fixtures_tokenizer",
    "fixtures_data",
    "fixtures_llama",
    "fixtures_guarantees",
]
