"""Under which licence are these weights, and who is told?

folder of a checkpoint, its configuration  ->  whether Apple's research-only licence holds
folder with a README.md                    ->  what its front matter says

A card that flipbook wrote is believed, for it knew where the weights came from. Of any other
folder, every trace of Apple's FastVLM counts: to be told once too often harms nobody.
"""

from __future__ import annotations

import functools
import logging
import re
from pathlib import Path
from typing import Any

import yaml

from flipbook.model.folders import TINY
from flipbook.model.provenance import Provenance
from flipbook.model.tiny import TINY_FOLDER

APPLE_LICENCE = "apple-amlr"
OWN_LICENCE = "apache-2.0"  # of flipbook, and so of the model embedded in it
OUR_TAG = "flipbook"
CARD_FILE = "README.md"
RESEARCH_ONLY_NOTICE = (
    "These weights descend from those of Apple's FastVLM. Their licence (Apple Machine Learning "
    f"Research Model, `{APPLE_LICENCE}`), and therefore that of this folder, allows research only."
)
RESEARCH_ONLY_CARD = f"""---
license: {APPLE_LICENCE}
pipeline_tag: image-text-to-text
tags:
- {OUR_TAG}
---

Fine-tuned with flipbook. {RESEARCH_ONLY_NOTICE}
"""

_APPLES_LAYOUTS = ("llava_qwen2", "llava_llama")
_APPLES_NAME = re.compile(r"(^|[/\\]|--)apple([/\\]|--)", re.IGNORECASE)
# "Apple's FastVLM", "FastVLM by Apple", "apple/FastVLM-0.5B"; not a FastVLM that counts apples.
_NAMED_IN_TEXT = re.compile(
    r"apple-amlr|apple/ml-fastvlm|apple/fastvlm|\bapple's\s+fastvlm"
    r"|(?-i:\bApple\b)[^\n]{0,80}fastvlm|fastvlm[^\n]{0,80}(?-i:\bApple\b)",
    re.IGNORECASE,
)
_FRONT_MATTER = re.compile(r"\A\ufeff?---\r?\n(.*?)\r?\n---\s*$", re.DOTALL | re.MULTILINE)
_logger = logging.getLogger("flipbook")


def is_research_only(folder: Path, config: dict[str, Any]) -> bool:
    """Whether the weights of a folder come from Apple, by its card and its configuration."""
    text = _card_text(folder)
    said = _front_matter_of(text)
    named = [said.get("license"), said.get("license_name")]
    if any(str(name).lower().startswith("apple-") for name in named):
        return True
    bases = said.get("base_model")
    bases = bases if isinstance(bases, list) else [bases]
    if any(_APPLES_NAME.search(str(name)) for name in bases):
        return True
    if OUR_TAG in _tags(said):
        return False
    if _APPLES_NAME.search(str(config.get("_name_or_path", ""))):
        return True
    return config.get("model_type") in _APPLES_LAYOUTS or bool(_NAMED_IN_TEXT.search(text))


def read_front_matter(folder: Path) -> dict[str, Any]:
    """Facts at the head of a folder's README.md; empty where there are none, or they are broken."""
    return _front_matter_of(_card_text(folder))


def stated_licence(folder: Path, config: dict[str, Any]) -> str | None:
    """Licence of the weights as the hub calls it, or None where the folder states none.

    Raises:
        CheckpointError: `provenance.json` is damaged.
    """
    if is_research_only(folder, config):
        return APPLE_LICENCE
    stated = read_front_matter(folder).get("license")
    if stated:
        return str(stated)
    origin = Provenance.load(folder)
    is_embedded = folder == TINY_FOLDER or (origin is not None and origin.base == TINY)
    return OWN_LICENCE if is_embedded else None


@functools.cache
def tell_licence(name: str) -> None:
    """Warn, once for each name, that the weights are licensed for research only."""
    _logger.warning(
        "%s holds weights of Apple's FastVLM, whose licence allows research only; what you train "
        "from them inherits that.",
        name,
    )


def _card_text(folder: Path) -> str:
    card = folder / CARD_FILE
    return card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""


def _front_matter_of(text: str) -> dict[str, Any]:
    found = _FRONT_MATTER.match(text)
    if found is None:
        return {}
    try:
        said = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return {}
    return said if isinstance(said, dict) else {}


def _tags(said: dict[str, Any]) -> list[str]:
    tags = said.get("tags")
    return [str(tag) for tag in tags] if isinstance(tags, list) else []
