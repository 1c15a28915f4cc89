"""Which words does this checkpoint's language model know, and which of them end an answer?

    folder of a checkpoint  ->  tokenizer with ChatML tokens and a usable chat template
    tokenizer               ->  id of <image>, generation configuration

Apple's tokenizers have no chat template and no word `<image>`; both are put in here.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.data.template import choose_template
from flipbook.data.template_texts import FASTVLM_CHAT_TEMPLATE
from flipbook.errors import CheckpointError

END_TOKEN = "<|im_end|>"  # noqa: S105
PAD_TOKEN = "<|endoftext|>"  # noqa: S105
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Tokenizer of a checkpoint, which ends turns with `<|im_end|>` and has a chat template.

    FastVLM's own template is put in where there is none, and in place of one from which labels
    cannot be made, such as that of the community's conversions.

    Raises:
        CheckpointError: the folder holds no tokenizer, or one without the ChatML tokens.
    """
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise CheckpointError(
            f"{folder}: holds no tokenizer (neither {' nor '.join(_TOKENIZER_FILES)}). Copy or "
            "download the checkpoint again."
        )
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)  # of Apple's model_type
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
    if tokenizer.chat_template is None:
        tokenizer.chat_template = FASTVLM_CHAT_TEMPLATE
    tokenizer.chat_template = choose_template(tokenizer, None).text
    return tokenizer


def add_image_token(tokenizer: Any) -> int:
    """Id of `<image>` in `tokenizer`, which learns the word first where it does not know it."""
    if IMAGE_TOKEN not in tokenizer.get_vocab():
        tokenizer.add_tokens([IMAGE_TOKEN], special_tokens=True)
    return int(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))


def generation_config(tokenizer: Any) -> GenerationConfig:
    """Greedy generation that stops at the end of the answer's turn."""
    return GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        eos_token_id=tokenizer.convert_tokens_to_ids(END_TOKEN),
        pad_token_id=tokenizer.pad_token_id,
    )
