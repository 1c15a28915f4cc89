"""What do the small files of a model say that its processor must know?

    folder | hub id  ->  tokenizer, clip settings, mean and standard deviation of pictures

Weights are neither opened nor downloaded. The clip settings stand in `flipbook.json` alone; without
it, side and aspect are those of the checkpoint's pictures, and the rest is the default. A processor
that was saved alone, or with an adapter, has no `config.json`: there the token that ends an answer
tells the family of the language model.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from flipbook.errors import CheckpointError
from flipbook.model.families import FAMILIES, Family, family_of
from flipbook.model.folders import CONFIG_FILE, SMALL_FILES, TINY, find_folder, read_json
from flipbook.model.hub import hub_errors, hub_reason
from flipbook.model.processing import Triple, read_image_rule, read_square
from flipbook.model.words import add_image_token, load_tokenizer
from flipbook.video.settings import SETTINGS_FILE, ClipSettings

_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision")
TOKENIZER_FILE = "tokenizer_config.json"


class MediaRule(NamedTuple):
    """How pictures and clips are read for one model."""

    settings: ClipSettings
    mean: Triple
    std: Triple


def read_processor_folder(
    name_or_path: str | os.PathLike[Any], **hub: Any
) -> tuple[PreTrainedTokenizerBase, MediaRule]:
    """Tokenizer and rule of pictures and clips behind a folder, a hub id, or `"tiny"`.

    Args:
        name_or_path: what to read.
        hub: transformers' arguments about downloads (`revision`, `token`, `cache_dir`,
            `local_files_only`, `force_download`, `subfolder`); others are left alone.

    Raises:
        CheckpointError: the files are missing, damaged, or no FastVLM's.
    """
    folder = _folder_of(name_or_path, hub)
    config = _config_of(folder)
    family = FAMILIES.get(str(config.get("model_type")))
    if not config:
        tokenizer = load_tokenizer(folder, _family_of_words(folder))
    elif family is not None:
        tokenizer = load_tokenizer(folder, family, splits_at_images=True)
        add_image_token(tokenizer)
    elif isinstance(config.get("text_config"), dict):
        tokenizer = load_tokenizer(folder, family_of(str(config["text_config"].get("model_type"))))
    else:
        raise CheckpointError(
            f"{folder}: {CONFIG_FILE} says model_type {config.get('model_type')!r} and names no "
            "language model, so it is no FastVLM. Give the folder of one."
        )
    return tokenizer, _rule_of(folder, config)


def read_media_rule(name_or_path: str | os.PathLike[Any], **hub: Any) -> MediaRule:
    """Rule of pictures and clips behind a folder, a hub id, or `"tiny"`.

    Args and errors are those of `read_processor_folder`.
    """
    folder = _folder_of(name_or_path, hub)
    return _rule_of(folder, _config_of(folder))


def _config_of(folder: Path) -> dict[str, Any]:
    """Return the configuration of the model; {} where a processor or an adapter stands alone."""
    is_alone = not (folder / CONFIG_FILE).is_file() and (folder / SETTINGS_FILE).is_file()
    return {} if is_alone else read_json(folder / CONFIG_FILE)


def _family_of_words(folder: Path) -> Family:
    """Return the family whose answers end as those of a tokenizer that flipbook has saved."""
    end = read_json(folder / TOKENIZER_FILE).get("eos_token")
    for family in FAMILIES.values():
        if family.end_token == end:
            return family
    raise CheckpointError(
        f"{folder}: {TOKENIZER_FILE} says eos_token {end!r}, with which no FastVLM ends an answer. "
        "Copy the tokenizer files of the model again."
    )


def _rule_of(folder: Path, config: dict[str, Any]) -> MediaRule:
    rule = read_image_rule(folder)
    frame_size, aspect = read_square(folder, config)
    settings = ClipSettings.load(folder) or ClipSettings(frame_size=frame_size, aspect=aspect)
    return MediaRule(settings, rule.mean, rule.std)


def says_how_clips_are_read(name_or_path: str | os.PathLike[Any], **hub: Any) -> bool:
    """Whether a folder or hub id holds clip settings, and so is a model saved by flipbook."""
    quiet = {
        f"_raise_exceptions_for_{trouble}": False
        for trouble in ("gated_repo", "missing_entries", "connection_errors")
    }
    known = {name: hub[name] for name in (*_HUB_ARGUMENTS, "subfolder") if hub.get(name)}
    return cached_file(str(name_or_path), SETTINGS_FILE, **known, **quiet) is not None


def _folder_of(name_or_path: str | os.PathLike[Any], hub: dict[str, Any]) -> Path:
    name, inside = str(name_or_path), hub.get("subfolder") or ""
    path = Path(name).expanduser()
    if (path / inside / SETTINGS_FILE).is_file():
        return path / inside
    if name == TINY or path.is_dir() or "/" not in name:
        return find_folder(name) / inside
    from huggingface_hub import snapshot_download  # slow, and rarely needed

    known = {key: hub[key] for key in _HUB_ARGUMENTS if hub.get(key)}
    try:
        return Path(snapshot_download(name, allow_patterns=SMALL_FILES, **known)) / inside
    except hub_errors() as error:
        raise CheckpointError(
            f"{name!r} is no folder here, and the hub did not give it: {hub_reason(error)} "
            "Check the spelling and the network, or download the model and give its folder."
        ) from error
