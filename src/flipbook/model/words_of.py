"""With which words, which frames and how much room does this model read, without its weights?

    "tiny" | folder | run folder | adapter | hub id  ->  WordsOf: tokenizer, ClipSettings, context

Of the weights only the headers are read, and those must fit the configuration. So what is planned
or explained with these words can be loaded, and is what loading it finds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from transformers import FastVlmConfig, PreTrainedTokenizerBase

from flipbook.errors import ArgumentError
from flipbook.model.adapters.attach import find_base
from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.model.checkpoint import layout_of
from flipbook.model.families import FAMILIES, Family, family_of
from flipbook.model.folders import CONFIG_FILE, find_folder, is_adapter, is_hub_id, read_json
from flipbook.model.headers import (
    check_image_token,
    fit_headers,
    telling_config_faults,
    text_model_type,
)
from flipbook.model.hub import fetch_facts
from flipbook.model.processing import read_square
from flipbook.model.weights import StoredTensor, stored_tensors
from flipbook.model.words import add_image_token, load_tokenizer
from flipbook.video.settings import ClipSettings


@dataclass(frozen=True)
class WordsOf:
    """What is needed to know which tokens a model would read.

    Attributes:
        tokenizer: with `<image>`, the end token of its family and a chat template.
        settings: how clips are read, as saved with the model or as its other files say.
        settings_saved: whether they were saved with the model.
        context_tokens: the most that the language model may read.
        config: of the model, whatever its layout.
    """

    tokenizer: PreTrainedTokenizerBase
    settings: ClipSettings
    settings_saved: bool
    context_tokens: int
    config: FastVlmConfig


def load_words_of(name_or_path: str | Path, *, base: str | Path | None = None) -> WordsOf:
    """Return a model's words and settings; a hub id's weights are not downloaded.

    Args:
        name_or_path: what `load_checkpoint` takes.
        base: the model under an adapter, where it is no longer in its place.

    Raises:
        CheckpointError: it is missing, incomplete, damaged, or no FastVLM; or the base of an
            adapter is missing.
        ArgumentError: `base` is given for what is no adapter.
    """
    tensors: dict[str, StoredTensor] | None = None
    if is_hub_id(name_or_path):
        facts = fetch_facts(str(name_or_path))
        folder, tensors = facts.folder, facts.tensors
    else:
        folder = find_folder(name_or_path)
    if is_adapter(folder):
        return _words_of_adapter(folder, base)
    if base is not None:
        raise ArgumentError(
            f"a base ({base}) is given for {name_or_path}, which is a whole model and needs none. "
            "Leave it out, or give the folder of an adapter."
        )
    with telling_config_faults(folder):
        return _words_of_model(folder, stored_tensors(folder) if tensors is None else tensors)


class Speech(NamedTuple):
    """In which layout a folder is, and with which words its model speaks."""

    layout: str
    family: Family
    tokenizer: PreTrainedTokenizerBase
    image_token_id: int


def read_speech(folder: Path, config: dict[str, Any]) -> Speech:
    """Return the words of a model's folder, `<image>` among them.

    Raises:
        CheckpointError: the layout is unknown, or files of the tokenizer are missing or do not fit.
    """
    layout = layout_of(config, folder)
    family = FAMILIES[layout] if layout in FAMILIES else family_of(text_model_type(config))
    tokenizer = load_tokenizer(folder, family, splits_at_images=layout in FAMILIES)
    if layout in FAMILIES:
        return Speech(layout, family, tokenizer, add_image_token(tokenizer))
    image_token_id = int(FastVlmConfig.from_dict(config).image_token_id)
    check_image_token(folder, tokenizer, image_token_id=image_token_id)
    return Speech(layout, family, tokenizer, image_token_id)


def _words_of_model(folder: Path, tensors: dict[str, StoredTensor]) -> WordsOf:
    config = read_json(folder / CONFIG_FILE)
    _, _, tokenizer, image_token_id = read_speech(folder, config)
    translated, _ = fit_headers(folder, config, tensors, image_token_id=image_token_id)
    text: Any = translated.text_config
    side, aspect = read_square(folder, config)
    saved = ClipSettings.load(folder)
    return WordsOf(
        tokenizer=tokenizer,
        settings=saved or ClipSettings(frame_size=side, aspect=aspect),
        settings_saved=saved is not None,
        context_tokens=int(text.max_position_embeddings),
        config=translated,
    )


def _words_of_adapter(folder: Path, base: str | Path | None) -> WordsOf:
    """Return the base's words, in place of which the adapter's own hold where it has some."""
    known = AdapterBase.load(folder)
    found = load_words_of(find_base(folder, base, known=known))
    tokenizer = found.tokenizer
    if known is not None:
        config: Any = found.config
        tokenizer = load_tokenizer(folder, family_of(config.text_config.model_type))
        check_image_token(folder, tokenizer, image_token_id=config.image_token_id)
    saved = ClipSettings.load(folder)
    if saved is not None:
        found = replace(found, settings=saved, settings_saved=True)
    return replace(found, tokenizer=tokenizer)
