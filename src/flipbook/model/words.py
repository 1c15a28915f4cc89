"""Which words does this checkpoint's language model know, and which of them end an answer?

    folder, family of the language model  ->  tokenizer with its family's end token and template
    tokenizer                             ->  id of <image>, end ids, generation configuration

Apple's tokenizers have no chat template and no word `<image>`; both are put in here.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from flipbook.data.labels.stretches import word_starts
from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.data.templates.system_prompt import without_system_prompt
from flipbook.data.templates.template import choose_template
from flipbook.errors import CheckpointError
from flipbook.model.families import Family

END_OF_TEXT = "<|endoftext|>"  # ends an answer too, where a model writes it instead of its end
SENTENCEPIECE_FILE = "tokenizer.model"
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", SENTENCEPIECE_FILE)
_READERS_OF_SENTENCEPIECE = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}


def load_tokenizer(
    folder: Path, family: Family, *, splits_at_images: bool = False
) -> PreTrainedTokenizerBase:
    """Tokenizer of a checkpoint, which ends turns as its family does and has a chat template.

    The family's own template is put in where there is none, and in place of one from which labels
    cannot be made, such as that of the community's conversions.

    Args:
        folder: with the tokenizer's files.
        family: of the language model.
        splits_at_images: the checkpoint is of LLaVA's code, which tokenises what stands between
            two pictures apart. A Llama tokenizer then begins a word after each special token,
            whatever its file says, so that the whole text has the ids of the parts.

    Raises:
        CheckpointError: the folder holds no tokenizer, or one without the family's end token, or
            only one that cannot be read without another package.
    """
    options = {"legacy": True} if splits_at_images and _is_marked(family) else {}
    tokenizer = _read(folder, options)
    vocabulary = tokenizer.get_vocab()
    missing = [word for word in (family.end_token, family.pad_token) if word not in vocabulary]
    if missing:
        raise CheckpointError(
            f"{folder}: the tokenizer does not know {', '.join(missing)}, so it is not that of a "
            f"FastVLM with {family.text_model_type}. Copy the tokenizer files of the original "
            "checkpoint."
        )
    tokenizer.eos_token = family.end_token
    if tokenizer.pad_token is None:
        tokenizer.pad_token = family.pad_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = family.chat_template
    if isinstance(tokenizer.chat_template, str):  # its settings tell the system prompt apart
        tokenizer.chat_template = without_system_prompt(tokenizer.chat_template)
    tokenizer.chat_template = choose_template(tokenizer, None).text
    if _is_marked(family):  # transformers reads it and does not write it again
        tokenizer.init_kwargs["legacy"] = word_starts(tokenizer).after_token
    return tokenizer


def _read(folder: Path, options: dict[str, Any]) -> PreTrainedTokenizerBase:
    found = [name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    if not found:
        raise CheckpointError(
            f"{folder}: holds no tokenizer (neither {' nor '.join(_TOKENIZER_FILES)}). Copy or "
            "download the checkpoint again."
        )
    absent = [pip for name, pip in _READERS_OF_SENTENCEPIECE.items() if not _is_installed(name)]
    if found == [SENTENCEPIECE_FILE] and absent:
        raise CheckpointError(
            f"{folder}: the tokenizer is a {SENTENCEPIECE_FILE} alone, which cannot be read "
            f"without {' and '.join(absent)}. Install what is missing: pip install "
            f"{' '.join(absent)}"
        )
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)  # of Apple's model_type
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **options
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{folder}: the tokenizer cannot be loaded ({error}). Copy or download it again."
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    return tokenizer


def _is_marked(family: Family) -> bool:
    """Tell whether a family's tokenizer marks the beginnings of words, as sentencepiece does."""
    return family.tokenizer_class == "LlamaTokenizer"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package around it
        return False


def add_image_token(tokenizer: Any) -> int:
    """Id of `<image>` in `tokenizer`, which learns the word first where it does not know it."""
    if IMAGE_TOKEN not in tokenizer.get_vocab():
        tokenizer.add_tokens([IMAGE_TOKEN], special_tokens=True)
    return int(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))


def end_ids(tokenizer: Any) -> list[int]:
    """Tokens after which an answer is over, that which ends a turn first."""
    ids = [tokenizer.eos_token_id, tokenizer.get_vocab().get(END_OF_TEXT)]
    return list(dict.fromkeys(token_id for token_id in ids if token_id is not None))


def generation_config(tokenizer: Any) -> GenerationConfig:
    """Greedy generation that stops at the end of the answer's turn."""
    return GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
