"""What kind of model lies behind this name, without loading its weights?

    "tiny" | folder | run folder | adapter | hub id  ->  Description

Configuration, words and settings are read; of the weights only the headers, and those must fit the
configuration name by name and shape by shape. So a folder that cannot be loaded is not described.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from flipbook.data.templates.template import choose_template, render
from flipbook.data.turns import Role
from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.model.apple.contract import check_apple_folder
from flipbook.model.apple.names import EMBEDDINGS
from flipbook.model.families import FAMILIES, Family, family_of
from flipbook.model.folders import (
    ADAPTER_FILE,
    ADAPTER_IN_RUN,
    CONFIG_FILE,
    MODEL_IN_RUN,
    find_folder,
    is_adapter,
    is_hub_id,
    plain_name,
    read_json,
)
from flipbook.model.headers import (
    adapter_headers,
    fit_headers,
    telling_config_faults,
)
from flipbook.model.hub import fetch_facts
from flipbook.model.licence import is_research_only, stated_licence
from flipbook.model.processing import read_square
from flipbook.model.provenance import Provenance
from flipbook.model.tuning import PARTS, part_of
from flipbook.model.weights import StoredTensor, stored_tensors
from flipbook.model.words import add_image_token, load_tokenizer
from flipbook.model.words_of import read_speech
from flipbook.video.settings import ClipSettings

SAMPLE_QUESTION = "What happens in this clip?"
ADAPTER_ALONE = "adapter"  # the layout of a folder with an adapter and no model
OWN_TEMPLATE = "own"  # any that is not that of the family


@dataclass(frozen=True, kw_only=True)
class PartFacts:
    """How large a part is as it is stored.

    Statistics of batches count for nothing, and a tied head once, with the embeddings.
    """

    part: str
    num_weights: int
    num_bytes: int
    dtypes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AdapterFacts:
    """What an adapter's folder says: its LoRA settings, its base, and what its file holds."""

    base: str
    rank: int | None
    alpha: float | None
    num_weights: int
    dtypes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a folder holds. Of an adapter alone, what belongs to its base is None or empty.

    Attributes:
        folder: which was read.
        layout: `model_type` in config.json; "adapter" for an adapter alone.
        file_bytes: size of every file, by name.
        vocabulary_rows: of the embeddings as stored.
        num_words: which the tokenizer knows, `<image>` among them.
        settings: how clips are read; `settings_saved` tells whether the folder says so itself.
        template_name: "qwen_2", "v1", or "own" for any other.
        prompt: a question about one clip, as the model reads it.
        apple_faults: in which a folder in Apple's layout breaks what Apple's code expects.
    """

    folder: str
    layout: str
    language_model: str
    file_bytes: dict[str, int]
    settings: ClipSettings | None
    settings_saved: bool
    research_only: bool
    licence: str | None
    provenance: Provenance | None
    adapter: AdapterFacts | None
    parts: tuple[PartFacts, ...] = ()
    vocabulary_rows: int | None = None
    num_words: int | None = None
    image_token_id: int | None = None
    context_tokens: int | None = None
    template_name: str | None = None
    prompt: str | None = None
    apple_faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Source:
    """A folder whose weights may be elsewhere."""

    folder: Path
    tensors: dict[str, StoredTensor]
    file_bytes: dict[str, int]
    is_local: bool


def describe(name_or_path: str | Path) -> Description:
    """Return what is known of a model without loading it; a hub id's weights are not downloaded.

    Raises:
        CheckpointError: it is missing, incomplete, damaged, or no FastVLM.
    """
    if is_hub_id(name_or_path):
        facts = fetch_facts(str(name_or_path))
        source = _Source(facts.folder, facts.tensors, facts.file_bytes, is_local=False)
    else:
        folder = find_folder(name_or_path)
        tensors = adapter_headers(folder) if is_adapter(folder) else stored_tensors(folder)
        source = _Source(folder, tensors, _file_bytes(folder), is_local=True)
    with telling_config_faults(source.folder):
        return _describe_adapter(source) if is_adapter(source.folder) else _describe_model(source)


def _describe_model(source: _Source) -> Description:
    folder = source.folder
    config = read_json(folder / CONFIG_FILE)
    layout, family, tokenizer, image_token_id = read_speech(folder, config)
    translated, state = fit_headers(folder, config, source.tensors, image_token_id=image_token_id)
    text: Any = translated.text_config
    settings, is_saved = _settings(folder, config)
    template_name, prompt = _prompt(tokenizer, settings, family)
    beside = folder.parent / ADAPTER_IN_RUN
    is_in_run = folder.name == MODEL_IN_RUN and is_adapter(beside)
    return Description(
        folder=str(folder),
        layout=layout,
        language_model=family.text_model_type,
        parts=_parts(state),
        file_bytes=source.file_bytes,
        vocabulary_rows=state[EMBEDDINGS].shape[0],
        num_words=len(tokenizer),
        image_token_id=image_token_id,
        context_tokens=int(text.max_position_embeddings),
        settings=settings,
        settings_saved=is_saved,
        template_name=template_name,
        prompt=prompt,
        research_only=is_research_only(folder, config),
        licence=stated_licence(folder, config),
        provenance=Provenance.load(folder),
        adapter=_adapter_facts(beside, adapter_headers(beside)) if is_in_run else None,
        apple_faults=_apple_faults(source, layout),
    )


def _describe_adapter(source: _Source) -> Description:
    """What an adapter's folder says without its base."""
    folder = source.folder
    base = AdapterBase.load(folder)
    name = str(base.facts.get("language model")) if base else ""
    settings = ClipSettings.load(folder)
    words: dict[str, Any] = {}
    if base is not None:
        tokenizer = load_tokenizer(folder, family_of(name))
        template_name, prompt = _prompt(tokenizer, settings, family_of(name))
        words = {
            "num_words": len(tokenizer),
            "image_token_id": add_image_token(tokenizer),
            "template_name": template_name,
            "prompt": prompt,
        }
    return Description(
        folder=str(folder),
        layout=ADAPTER_ALONE,
        language_model=name,
        file_bytes=source.file_bytes,
        settings=settings,
        settings_saved=settings is not None,
        research_only=is_research_only(folder, {}),
        licence=stated_licence(folder, {}),
        provenance=Provenance.load(folder),
        adapter=_adapter_facts(folder, source.tensors),
        **words,
    )


def _settings(folder: Path, config: dict[str, Any]) -> tuple[ClipSettings, bool]:
    """Settings that the folder saved, or else those that its other files stand for."""
    saved = ClipSettings.load(folder)
    if saved is not None:
        return saved, True
    side, aspect = read_square(folder, config)
    return ClipSettings(frame_size=side, aspect=aspect), False


def _parts(state: dict[str, Tensor]) -> tuple[PartFacts, ...]:
    return tuple(
        _part_facts(part, [t for n, t in state.items() if part_of(n) == part and _is_weight(n)])
        for part in PARTS
    )


def _is_weight(name: str) -> bool:
    return not name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def _part_facts(part: str, tensors: list[Tensor]) -> PartFacts:
    return PartFacts(
        part=part,
        num_weights=sum(tensor.numel() for tensor in tensors),
        num_bytes=sum(tensor.nbytes for tensor in tensors),
        dtypes=tuple(sorted({str(t.dtype).removeprefix("torch.") for t in tensors})),
    )


def _prompt(tokenizer: Any, settings: ClipSettings | None, family: Family) -> tuple[str, str]:
    """Name of the chat template, and a question about one clip as the template writes it."""
    template = choose_template(tokenizer, None)
    num_places = len(settings.tokens_of_clip(settings.num_frames)) if settings else 1
    turns: list[tuple[Role, str]] = [("user", "<image>\n" * num_places + SAMPLE_QUESTION)]
    if settings and settings.system_prompt is not None:
        turns.insert(0, ("system", settings.system_prompt))
    name = family.template_name if template.text == family.chat_template else OWN_TEMPLATE
    return name, render(tokenizer, template, turns, with_prompt=True)


def _adapter_facts(folder: Path, headers: Mapping[str, StoredTensor]) -> AdapterFacts:
    config = read_json(folder / ADAPTER_FILE)
    base = AdapterBase.load(folder)
    named = str(config.get("base_model_name_or_path") or "")
    return AdapterFacts(
        base=base.name if base else plain_name(named),
        rank=_number(config.get("r")),
        alpha=_number(config.get("lora_alpha")),
        num_weights=sum(math.prod(header.shape) for header in headers.values()),
        dtypes=tuple(sorted({str(h.dtype).removeprefix("torch.") for h in headers.values()})),
    )


def _number(value: object) -> Any:
    """What a foreign file says, or None where that is no number."""
    return value if isinstance(value, (int, float)) else None


def _apple_faults(source: _Source, layout: str) -> tuple[str, ...]:
    """Faults of a folder here; of a model on the hub only the small files are at hand."""
    is_here = source.is_local and layout in FAMILIES
    return tuple(check_apple_folder(source.folder)) if is_here else ()


def _file_bytes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
