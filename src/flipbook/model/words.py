"""Which words does this checkpoint's language model know, and which of them end an answer?

folder of a checkpoint  ->  tokenizer with ChatML tokens, a usable chat template
tokenizer               ->  id of <image>, generation configuration
"""

from __future__ import annotations

import logging
from pathlib import Path

from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from flipbook.data.conversation import FASTVLM_CHAT_TEMPLATE
from flipbook.errors import CheckpointError

IMAGE_TOKEN = "<image>"  # noqa: S105  (a word of the vocabulary)
END_TOKEN = "<|im_end|>"  # noqa: S105
PAD_TOKEN = "<|endoftext|>"  # noqa: S105
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
_logger = logging.getLogger("flipbook")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Tokenizer of a checkpoint, which ends turns with `<|im_end|>` and has a chat template.

    A template is put in where there is none, and in place of one that drops plain text or begins
    an answer with an empty line, as that of the community's conversions does.

    Raises:
        CheckpointError: the folder holds no tokenizer, or one without the ChatML tokens.
    """
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise CheckpointError(
            f"{folder}: holds no tokenizer (neither {' nor '.join(_TOKENIZER_FILES)}). Copy or "
            "download the checkpoint again."
        )
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # it warns that it knows no model_type of Apple's
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: the tokenizer cannot be loaded ({error}). Copy or download it again."
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    vocabulary = tokenizer.get_vocab()
    missing = [word for word in (END_TOKEN, PAD_TOKEN) if word not in vocabulary]
    if missing:
        raise CheckpointError(
            f"{folder}: the tokenizer does not know {', '.join(missing)}, so it is not FastVLM's. "
            "Copy the tokenizer files of the original checkpoint."
        )
    tokenizer.eos_token = END_TOKEN
    if tokenizer.pad_token is None:
        tokenizer.pad_token = PAD_TOKEN
    if not has_usable_template(tokenizer):
        _logger.info("%s: chat template replaced by FastVLM's own", folder)
        tokenizer.chat_template = FASTVLM_CHAT_TEMPLATE
    return tokenizer


def has_usable_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template renders `assistant\\nanswer<|im_end|>` from plain strings."""
    if tokenizer.chat_template is None:
        return False
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
    text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    return f"Why?{END_TOKEN}" in text and f"assistant\nBecause.{END_TOKEN}" in text


def add_image_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Id of `<image>` in `tokenizer`, which learns the word first where it does not know it."""
    if IMAGE_TOKEN not in tokenizer.get_vocab():
        tokenizer.add_tokens([IMAGE_TOKEN], special_tokens=True)
    return int(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))


def generation_config(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Greedy generation that stops at the end of the answer's turn."""
    return GenerationConfig(
        do_sample=False,
        eos_token_id=tokenizer.convert_tokens_to_ids(END_TOKEN),
        pad_token_id=tokenizer.pad_token_id,
    )
