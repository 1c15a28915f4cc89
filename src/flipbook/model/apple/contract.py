"""Would Apple's code read this folder rightly?

    folder in Apple's layout  ->  faults, each with what happens otherwise; none where all is well

The name of the folder, config.json, the files of words and the tensors are held against what
Apple's code does with them. To add a rule about config.json: a line in `rules.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.errors import CheckpointError
from flipbook.model.apple.config import FASTVITHD, tower_sizes
from flipbook.model.apple.names import (
    CONSTANT_TENSOR,
    EMBEDDINGS,
    HEAD,
    to_apple_name,
    to_fast_vlm_name,
)
from flipbook.model.apple.rules import PROJECTOR_IN, FolderFacts, faults_of_config
from flipbook.model.apple.words import SENTENCEPIECE_FILE, SLOW_FILES
from flipbook.model.families import FAMILIES, Family
from flipbook.model.folders import CONFIG_FILE, read_json
from flipbook.model.headers import fit_headers
from flipbook.model.weights import StoredTensor, stored_tensors
from flipbook.video.settings import ClipSettings

QUESTION_TOKENS = 1024  # room beside the frames for system prompt, question and answer
_OTHER_MODELS = ("mpt", "mistral", "dclm")  # names on which Apple's loader takes another class


def check_apple_folder(folder: Path) -> list[str]:
    """Faults of a folder in Apple's layout, in sentences; empty when the contract holds.

    Raises:
        CheckpointError: config.json is missing or cannot be read.
    """
    named = name_fault(folder)
    return [*([named] if named else []), *broken_rules(folder), *limits(folder)]


def name_fault(folder: Path) -> str | None:
    """What Apple's code does amiss because of the folder's name, or None."""
    name = _name_for_apple(folder)
    if "llava" not in name.lower():
        return (
            f"the folder is named {name!r}; give a name with llava in it, such as "
            f"{'llava-' + name!r}. Otherwise Apple's code loads a language model without eyes."
        )
    other = [word for word in _OTHER_MODELS if word in name.lower()]
    if other:
        return (
            f"the folder is named {name!r}; give a name without {other[0]!r}. Otherwise Apple's "
            "code takes it for a model of that kind."
        )
    return None


def _name_for_apple(folder: Path) -> str:
    """What Apple's code calls the model: the path as given, with no link in it followed."""
    path = Path(os.path.abspath(folder))  # noqa: PTH100  (`resolve` would follow links)
    within = path.name.startswith("checkpoint-")
    return f"{path.parent.name}_{path.name}" if within else path.name


def clip_tokens(settings: ClipSettings) -> int:
    """How many tokens the longest clip needs, with a line break a frame and room for words."""
    frames = settings.max_frames if settings.sampler == "fps" else settings.num_frames
    return frames * (settings.tokens_per_frame + 1) + QUESTION_TOKENS


def broken_rules(folder: Path) -> list[str]:
    """Faults of a folder, but for its name and for what no writer could mend.

    Raises:
        CheckpointError: config.json is missing or cannot be read.
    """
    config = read_json(folder / CONFIG_FILE)
    family = _family_of(config)
    try:
        stored = stored_tensors(folder)
        faults = _faults_of_words(folder, family)
        word_ids = read_word_ids(folder)
        settings = ClipSettings.load(folder)
    except CheckpointError as error:
        return [str(error)]
    tensors = {to_fast_vlm_name(name) or name: tensor for name, tensor in stored.items()}
    if config.get("tie_word_embeddings") is True:
        tensors |= {HEAD: tensors[EMBEDDINGS]} if EMBEDDINGS in tensors else {}
    for name in (EMBEDDINGS, PROJECTOR_IN, HEAD, CONSTANT_TENSOR):
        if name not in tensors:
            faults.append(
                f"the weights hold no {to_apple_name(name) or name}. Otherwise, as now, Apple's "
                "code makes it up at random."
            )
    if EMBEDDINGS not in tensors or PROJECTOR_IN not in tensors:
        return faults
    facts = FolderFacts(
        config=config,
        family=family,
        tensors=tensors,
        word_ids=word_ids,
        end_id=word_ids.get(family.end_token),
        num_clip_tokens=0 if settings is None else clip_tokens(settings),
    )
    faults += faults_of_config(facts) + _faults_of_rows(tensors, word_ids)
    return faults or _faults_of_names(folder, config, tensors)


def limits(folder: Path) -> list[str]:
    """What keeps Apple's code from reading a folder whatever its writer does.

    Raises:
        CheckpointError: config.json is missing or cannot be read.
    """
    family = _family_of(read_json(folder / CONFIG_FILE))
    found = []
    if SENTENCEPIECE_FILE in SLOW_FILES[family.tokenizer_class] and not (
        (folder / SENTENCEPIECE_FILE).is_file()
    ):
        found.append(
            f"the tokenizer came without {SENTENCEPIECE_FILE}, which LLaVA's code reads; copy the "
            "file of the language model into the folder."
        )
    try:
        tensors = {to_fast_vlm_name(name) or name: t for name, t in stored_tensors(folder).items()}
        sizes = tower_sizes(tensors)
    except CheckpointError:
        return found  # a broken rule, and told as such
    if sizes != FASTVITHD:
        found.append(
            f"the tower is {sizes['embed_dims']} wide and Apple's code builds FastViTHD "
            f"({FASTVITHD['embed_dims']}) alone, so only flipbook reads this folder."
        )
    return found


def _family_of(config: Mapping[str, Any]) -> Family:
    return FAMILIES.get(str(config.get("model_type"))) or FAMILIES["llava_qwen2"]


def read_word_ids(folder: Path) -> dict[str, int]:
    """Ids of all words as the files of words of a folder give them; empty where there are none.

    Raises:
        CheckpointError: one of the files cannot be read.
    """
    ids: dict[str, int] = {}
    if (folder / "tokenizer.json").is_file():
        content = read_json(folder / "tokenizer.json")
        ids |= content.get("model", {}).get("vocab", {})
        ids |= {token["content"]: token["id"] for token in content.get("added_tokens", [])}
        return ids
    for name in ("vocab.json", "added_tokens.json"):
        if (folder / name).is_file():
            ids |= read_json(folder / name)
    return ids


def _faults_of_words(folder: Path, family: Family) -> list[str]:
    """Faults of the files that the slow tokenizer of transformers 4 is made of."""
    faults = [
        f"there is no {name}. Otherwise, as now, Apple's code cannot build its tokenizer."
        for name in SLOW_FILES[family.tokenizer_class]
        if name != SENTENCEPIECE_FILE and not (folder / name).is_file()
    ]
    path = folder / "tokenizer_config.json"
    given = read_json(path).get("tokenizer_class") if path.is_file() else None
    if str(given).removesuffix("Fast") != family.tokenizer_class:
        faults.append(
            f'tokenizer_config.json: "tokenizer_class" is {given!r}; give '
            f'"{family.tokenizer_class}". Otherwise Apple\'s code finds no tokenizer for its model.'
        )
    return faults


def _faults_of_rows(tensors: Mapping[str, StoredTensor], word_ids: dict[str, int]) -> list[str]:
    """A row is needed for every word, but for `<image>`, which Apple's code never looks up."""
    needed = max((i for word, i in word_ids.items() if word != IMAGE_TOKEN), default=-1) + 1
    rows = tensors[EMBEDDINGS].shape[0]
    if rows >= needed:
        return []
    return [
        f"the embeddings have {rows} rows and the tokenizer {needed} words. Otherwise, as now, "
        "Apple's code makes up the missing rows at random."
    ]


def _faults_of_names(
    folder: Path, config: dict[str, Any], tensors: Mapping[str, StoredTensor]
) -> list[str]:
    """Tensors that the model of this configuration lacks, or has in another shape."""
    rows = tensors[EMBEDDINGS].shape[0]
    headers = {to_apple_name(name) or name: tensor for name, tensor in tensors.items()}
    try:
        fit_headers(folder, config, headers, image_token_id=rows - 1)
    except CheckpointError as error:
        return [str(error)]
    return []
