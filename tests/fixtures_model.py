"""Which small checkpoints do the tests share?

fast_vlm_folder  ->  a FastVLM of 0.3 M random weights that see, in Hugging Face's layout
apple_folder     ->  the same weights in Apple's layout, with a tokenizer without `<image>`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers.pre_tokenizers import ByteLevel
from transformers import FastVlmConfig, FastVlmForConditionalGeneration, Qwen2Tokenizer

from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.data.templates.texts import FASTVLM_CHAT_TEMPLATE
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.initialise import initialise_
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint
from flipbook.model.words import add_image_token
from flipbook.video.settings import ClipSettings

FRAME_SIZE = 128
VOCABULARY_ROWS = 320
CHATML_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def make_tokenizer(*, knows_image: bool = True) -> Qwen2Tokenizer:
    """Byte-level tokenizer of Qwen's kind: 256 bytes, one merge, ChatML's tokens, `<image>`."""
    letters = sorted(ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "th"])}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=[("t", "h")],
        eos_token="<|im_end|>",  # noqa: S106  (a word of the vocabulary)
        pad_token="<|endoftext|>",  # noqa: S106
        unk_token=None,
    )
    tokenizer.add_tokens(list(CHATML_TOKENS), special_tokens=True)
    if knows_image:
        add_image_token(tokenizer)
    tokenizer.chat_template = FASTVLM_CHAT_TEMPLATE
    return tokenizer


def make_model(image_token_id: int, *, tied: bool = True) -> Any:
    """FastVLM with every kind of layer, random weights, and eyes."""
    tower = {"inference_mode": True, "layers": [1, 1, 2, 1, 1], "embed_dims": [16, 32, 32, 32, 64]}
    vision = {"model_type": "timm_wrapper", "architecture": "fastvit_mci3", "hidden_size": 128}
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY_ROWS}
    text = {"model_type": "qwen2", "rope_theta": 1e6, "tie_word_embeddings": tied}
    config = FastVlmConfig(
        vision_config=vision | {"model_args": tower},
        text_config=text | sizes | heads,
        image_token_index=image_token_id,
        image_seq_length=(FRAME_SIZE // 64) ** 2,
        tie_word_embeddings=tied,
    )
    model = FastVlmForConditionalGeneration(config)
    initialise_(model, seed=0, frame_size=FRAME_SIZE)
    return model.eval()


def make_checkpoint(**settings: Any) -> Checkpoint:
    """Checkpoint in memory at 128 px; `settings` are fields of ClipSettings."""
    tokenizer = make_tokenizer()
    return Checkpoint(
        model=make_model(tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)),
        tokenizer=tokenizer,
        settings=ClipSettings(**{"frame_size": FRAME_SIZE, "num_frames": 4} | settings),
        frame_size=FRAME_SIZE,
    )


@pytest.fixture(scope="session")
def fast_vlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tmp_path_factory.mktemp("models") / "fast_vlm", make_checkpoint())


@pytest.fixture(scope="session")
def apple_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = make_checkpoint()
    checkpoint.tokenizer = make_tokenizer(knows_image=False)
    checkpoint.tokenizer.chat_template = None
    folder = save_apple_checkpoint(tmp_path_factory.mktemp("models") / "llava-apple", checkpoint)
    (folder / "tokenizer.json").unlink()  # Apple's own folders hold vocab.json and merges.txt only
    (folder / "flipbook.json").unlink()
    return folder


@pytest.fixture(scope="session")
def seeing_checkpoint() -> Checkpoint:
    """A small random model, in memory, that reads clips of 4 frames at 128 px."""
    return make_checkpoint()
