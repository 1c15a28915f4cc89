"""How is the embedded model put together before it has learned anything?

    seed -> FastVlmForConditionalGeneration of 1.3 M parameters, and its tokenizer

Topology, template and special tokens are those of FastVLM; only the sizes differ. One 128 px frame
is four visual tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import (
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from flipbook.data.labels.conversation import FASTVLM_CHAT_TEMPLATE
from flipbook.model.initialise import initialise_
from flipbook.video.frames import PX_PER_TOKEN

FRAME_SIZE = 128  # px
TOKENS_PER_FRAME = (FRAME_SIZE // PX_PER_TOKEN) ** 2
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>")
ROW_MULTIPLE = 64  # embedding rows are padded to it, as FastVLM's are
TOWER = {"layers": (1, 1, 2, 1, 1), "embed_dims": (16, 32, 64, 64, 128)}
LANGUAGE_MODEL = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}
# Source: the tokenizer.json of Qwen2, whose splitting rule FastVLM's tokenizer inherits.
WORD_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerBase:
    """Return a byte-level ChatML tokenizer that has one token for each word of `texts`.

    Any other text is spelled in pieces, down to bytes, so nothing is unknown.
    """
    words = Tokenizer(models.BPE())
    words.normalizer = normalizers.NFC()
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    words.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=4096, initial_alphabet=alphabet, show_progress=False)
    words.train_from_iterator(sorted(set(texts)), trainer)
    words.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=["<|im_start|>", "<image>"],
        chat_template=FASTVLM_CHAT_TEMPLATE,
        model_max_length=LANGUAGE_MODEL["max_position_embeddings"],
    )


def build_model(tokenizer: PreTrainedTokenizerBase, *, seed: int) -> Any:
    """Return a FastVLM of the embedded size with random weights that see."""
    num_rows = -(-len(tokenizer) // ROW_MULTIPLE) * ROW_MULTIPLE
    vision = {
        "model_type": "timm_wrapper",
        "architecture": "fastvit_mci3",
        "do_pooling": True,
        "global_pool": "avg",
        "hidden_size": 2 * TOWER["embed_dims"][-1],
        "model_args": {"inference_mode": True, **TOWER},
    }
    text = {"model_type": "qwen2", "vocab_size": num_rows, "tie_word_embeddings": True}
    ends = {
        "bos_token_id": None,
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
        "pad_token_id": tokenizer.convert_tokens_to_ids("<|endoftext|>"),
    }
    config = FastVlmConfig(
        vision_config=vision,
        text_config=text | LANGUAGE_MODEL | ends,
        image_token_index=int(str(tokenizer.convert_tokens_to_ids("<image>"))),
        image_seq_length=TOKENS_PER_FRAME,
        tie_word_embeddings=True,
    )
    model = FastVlmForConditionalGeneration(config)
    initialise_(model, seed=seed, frame_size=FRAME_SIZE)
    return model
