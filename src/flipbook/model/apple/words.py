"""Which files of words does the older transformers of Apple's code read?

    tokenizer  ->  vocab.json, merges.txt, added_tokens.json, tokenizer_config.json, tokenizer.json

Apple's code loads the slow tokenizer of transformers 4, which is made of `vocab.json` and
`merges.txt`, or for Llama of sentencepiece's `tokenizer.model`. There a picture is the number -200
and no word, so `<image>` is left out where it is the last word: no other id moves.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.model.families import Family
from flipbook.model.folders import read_json, write_json

SENTENCEPIECE_FILE = "tokenizer.model"
SLOW_FILES = {  # what the slow tokenizer of a class is made of
    "Qwen2Tokenizer": ("vocab.json", "merges.txt"),
    "LlamaTokenizer": (SENTENCEPIECE_FILE,),
}
_NEWER_KEYS = ("backend", "extra_special_tokens", "is_local", "local_files_only", "processor_class")


def write_words(folder: Path, tokenizer: Any, *, family: Family, keep_image: bool) -> None:
    """Write the tokenizer so that transformers 4 and 5 read the same ids from it.

    Args:
        folder: where to.
        tokenizer: a tokenizer of the `tokenizers` library.
        family: of the language model, which names the class of its tokenizer.
        keep_image: whether `<image>` stays a word even where it is the last one.
    """
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer.json"
    content = read_json(path)
    added = content["added_tokens"]
    if not keep_image and tokenizer.convert_tokens_to_ids(IMAGE_TOKEN) == len(tokenizer) - 1:
        added[:] = [token for token in added if token["content"] != IMAGE_TOKEN]
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    _write_slow(
        folder,
        content["model"],
        getattr(tokenizer, "vocab_file", None),
        names=SLOW_FILES[family.tokenizer_class],
    )
    write_json(folder / "added_tokens.json", {token["content"]: token["id"] for token in added})
    config = read_json(folder / "tokenizer_config.json")
    write_json(folder / "tokenizer_config.json", _older(config, added, family))


def _write_slow(folder: Path, model: dict[str, Any], source: str | None, *, names: Any) -> None:
    """Write what the slow tokenizer is made of."""
    if SENTENCEPIECE_FILE in names:
        path = Path(source or "")
        if path.name == SENTENCEPIECE_FILE and path.is_file():
            shutil.copyfile(path, folder / SENTENCEPIECE_FILE)
        return
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    write_json(folder / "vocab.json", model["vocab"])
    text = "\n".join(["#version: 0.2", *merges, ""])
    (folder / "merges.txt").write_text(text, encoding="utf-8")


def _older(config: dict[str, Any], added: list[dict[str, Any]], family: Family) -> dict[str, Any]:
    """`tokenizer_config.json` in the words of transformers 4, which 5 still understands."""
    kept = {key: value for key, value in config.items() if key not in _NEWER_KEYS}
    kept = {key: value for key, value in kept.items() if value != IMAGE_TOKEN}
    prefix = config.get("add_prefix_space")
    if prefix is None:  # the default of the class, which Llama's words are made with
        prefix = family.tokenizer_class == "LlamaTokenizer"
    named = {value for value in kept.values() if isinstance(value, str)}
    details = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {
        **kept,
        "add_prefix_space": prefix,
        "added_tokens_decoder": {
            str(token["id"]): {key: token[key] for key in details} for token in added
        },
        "additional_special_tokens": [
            token["content"]
            for token in added
            if token["special"] and token["content"] not in named
        ],
        "tokenizer_class": family.tokenizer_class,
    }
