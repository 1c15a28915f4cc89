"""Where do the tests' Llama words and weights come from?

make_llama_tokenizer   ->  Llama's kind of tokenizer: marks of word starts, bytes, `<s>`, `</s>`
make_prepend_tokenizer ->  the same words as files of transformers 4 build them, with normalisers
make_llama_checkpoint  ->  a FastVLM of random weights around a Llama, in memory
llava_llama_folder     ->  the same in Apple's layout, as LLaVA's older training code leaves it
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    LlamaTokenizer,
    PreTrainedTokenizerFast,
)

from fixtures_model import FRAME_SIZE
from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.data.templates.texts import V1_CHAT_TEMPLATE
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.initialise import initialise_
from flipbook.model.saving import save_apple_checkpoint
from flipbook.model.words import add_image_token
from flipbook.video.settings import ClipSettings

SPECIAL_WORDS = ("<unk>", "<s>", "</s>")
BOS_ID = 1
END_ID = 2
MARK = "\u2581"
CORPUS = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions. USER: ASSISTANT:",
    "What moves? Which way? A red circle moves to the left. It is a cat. Yes it is, \u00e9t\u00e9.",
)


@lru_cache(maxsize=2)
def _words_and_merges(*, joins_lines: bool) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary as sentencepiece trains it: no word has a mark but at its beginning."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    trainer = trainers.BpeTrainer(
        vocab_size=150, show_progress=False, initial_alphabet=[MARK], special_tokens=[]
    )
    lines = ["a\n\nb a::b"] * 40 if joins_lines else []
    learner.train_from_iterator([*CORPUS, *lines], trainer)
    learnt = json.loads(learner.to_str())["model"]
    single_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    words = dict.fromkeys([*SPECIAL_WORDS, *single_bytes, *learnt["vocab"]])
    return {word: number for number, word in enumerate(words)}, list(map(tuple, learnt["merges"]))


def make_llama_tokenizer(
    *, legacy: bool = True, knows_image: bool = True, joins_lines: bool = False
) -> Any:
    """Return Llama's kind of tokenizer with LLaVA's v1 template.

    Args:
        legacy: it begins a word after each special token, not only where a text begins.
        knows_image: `<image>` is one of its words.
        joins_lines: line breaks and colons are words that join their like, which Llama's are not.
    """
    vocabulary, merges = _words_and_merges(joins_lines=joins_lines)
    tokenizer = LlamaTokenizer(
        vocab=dict(vocabulary), merges=list(merges), legacy=legacy, add_bos_token=True
    )
    tokenizer.init_kwargs["legacy"] = legacy
    return _finished(tokenizer, knows_image=knows_image)


def make_prepend_tokenizer() -> Any:
    """Return the legacy tokenizer as `tokenizer.json` files of transformers 4 describe it."""
    vocabulary, merges = _words_and_merges(joins_lines=False)
    model = models.BPE(
        vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    rules = Tokenizer(model)
    rules.normalizer = normalizers.Sequence(
        [normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)]
    )
    rules.decoder = decoders.Sequence(
        [
            decoders.Replace(MARK, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    unk, bos, eos = SPECIAL_WORDS
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=rules, unk_token=unk, bos_token=bos, eos_token=eos
    )
    return _finished(tokenizer, knows_image=True)


def _finished(tokenizer: Any, *, knows_image: bool) -> Any:
    if knows_image:
        add_image_token(tokenizer)
    tokenizer.pad_token = tokenizer.unk_token
    tokenizer.chat_template = V1_CHAT_TEMPLATE
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_WORDS)) == [0, BOS_ID, END_ID]
    return tokenizer


def make_llama_model(*, num_words: int, image_token_id: int, tied: bool = False) -> Any:
    """FastVLM around a Llama of two layers, random weights, and eyes."""
    tower = {"inference_mode": True, "layers": [1, 1, 2, 1, 1], "embed_dims": [16, 32, 32, 32, 64]}
    vision = {"model_type": "timm_wrapper", "architecture": "fastvit_mci3", "hidden_size": 128}
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": num_words}
    text = {"model_type": "llama", "rope_theta": 5e4, "tie_word_embeddings": tied}
    config = FastVlmConfig(
        vision_config=vision | {"model_args": tower},
        text_config=text | sizes | heads | {"bos_token_id": BOS_ID, "eos_token_id": END_ID},
        image_token_index=image_token_id,
        image_seq_length=(FRAME_SIZE // 64) ** 2,
        tie_word_embeddings=tied,
    )
    model = FastVlmForConditionalGeneration(config)
    with torch.random.fork_rng():
        initialise_(model, seed=0, frame_size=FRAME_SIZE)
    return model.eval()


def make_llama_checkpoint(*, legacy: bool = True, tied: bool = False) -> Checkpoint:
    """Checkpoint in memory at 128 px whose language model is a Llama."""
    tokenizer = make_llama_tokenizer(legacy=legacy)
    return Checkpoint(
        model=make_llama_model(
            num_words=len(tokenizer),
            image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
            tied=tied,
        ),
        tokenizer=tokenizer,
        settings=ClipSettings(frame_size=FRAME_SIZE, num_frames=2),
        frame_size=FRAME_SIZE,
    )


@pytest.fixture(scope="session")
def llava_llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = make_llama_checkpoint()
    checkpoint.tokenizer = make_llama_tokenizer(legacy=False, knows_image=False)
    checkpoint.tokenizer.chat_template = None
    folder = save_apple_checkpoint(tmp_path_factory.mktemp("models") / "llava_llama", checkpoint)
    (folder / "flipbook.json").unlink()
    return folder
