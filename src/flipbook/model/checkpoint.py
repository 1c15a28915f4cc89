"""Which model, with which words and which frames, lies behind this name?

    "tiny" | folder | run folder | hub id | adapter  ->  Checkpoint: model, tokenizer, clip settings

Two layouts hold the same weights: Hugging Face's (`fast_vlm`) and Apple's (`llava_qwen2`, or
`llava_llama` where the language model is a Llama). Which one a folder has is told by `model_type`
in its config.json and by nothing else. Either way the model
is transformers' own `FastVlmForConditionalGeneration`, and every one of its tensors came out of
the file: a tensor that is missing, left over, or of another shape is an error that names it.

To add a layout: a function that reads a folder, and a line in `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flipbook.errors import ArgumentError, CheckpointError, did_you_mean
from flipbook.model import weights
from flipbook.model.adapters.attach import attach_adapter, find_base, warn_unchecked
from flipbook.model.adapters.trained_on import AdapterBase, compare_bases, difference_table
from flipbook.model.apple import config as apple_config
from flipbook.model.apple import tensors as apple
from flipbook.model.families import FAMILIES, family_of
from flipbook.model.folders import (
    CONFIG_FILE,
    find_folder,
    find_weight_files,
    is_adapter,
    read_json,
    source_of,
)
from flipbook.model.headers import check_image_token, telling_config_faults, text_model_type
from flipbook.model.licence import is_research_only, tell_licence
from flipbook.model.processing import (
    DEFAULT_FRAME_SIZE,
    NO_MEAN,
    NO_STD,
    Triple,
    read_image_rule,
    read_square,
)
from flipbook.model.provenance import Provenance
from flipbook.model.quantize import quantization_kwargs
from flipbook.model.weights import build_model, read_tensors, refuse_overflow
from flipbook.model.words import add_image_token, generation_config, load_tokenizer
from flipbook.video.settings import ClipSettings


@dataclass
class Checkpoint:
    """A model in memory with all that is needed to feed it and to save it again.

    `model` is a `FastVlmForConditionalGeneration`, `tokenizer` a `PreTrainedTokenizerBase`.
    `settings` is None where the folder saved none; `frame_size` (px) and `aspect` are then what
    its other files say. `research_only` tells that the weights are under Apple's licence.
    `provenance` tells how the model was tuned, where flipbook tuned it. `source` is the hub id or
    the absolute folder it came from, empty for a model made in memory.
    """

    model: Any
    tokenizer: Any
    settings: ClipSettings | None
    image_mean: Triple = NO_MEAN
    image_std: Triple = NO_STD
    layout: str = "fast_vlm"
    frame_size: int = DEFAULT_FRAME_SIZE
    aspect: str = "pad"
    research_only: bool = False
    provenance: Provenance | None = None
    source: str = ""

    @property
    def clip_settings(self) -> ClipSettings:
        """The saved settings, or else the defaults at the side and aspect of the checkpoint."""
        return self.settings or ClipSettings(frame_size=self.frame_size, aspect=self.aspect)


def load_checkpoint(
    name_or_path: str | Path,
    *,
    dtype: torch.dtype | None = torch.float32,
    quantize: str | None = None,
    attn_implementation: str = "sdpa",
    base: str | Path | None = None,
    merge: bool = True,
) -> Checkpoint:
    """Checkpoint behind a folder, a run folder, a hub id, or `"tiny"`; the model is in `eval()`.

    The folder may be that of an adapter: its base is loaded, proven to be the one it was trained
    on, and the adapter merged into it. A merged model is faster and is used like any other; one
    with the adapter beside it gives, bit for bit, the logits of the trained model in memory.

    No code of the checkpoint is ever run: no remote code, no pickle beyond plain tensors.

    Args:
        name_or_path: what to load.
        dtype: of the weights in memory, whatever the files store; None is as they store it.
        quantize: "4bit" or "8bit" for the language model's matrices; needs a CUDA GPU.
        attn_implementation: attention of the language model, in transformers' words.
        base: the model under an adapter, where it is no longer in its place.
        merge: take an adapter up into the weights. Beside a quantised base it always stays apart.

    Raises:
        CheckpointError: the folder is missing, incomplete, damaged, or no FastVLM; or the base of
            an adapter is missing or another one; or a weight is too large for float16.
        ArgumentError: `quantize` is unknown, or bitsandbytes or a CUDA GPU is missing; or `base` is
            given for what is no adapter.
    """
    folder = find_folder(name_or_path)
    options = _Options(dtype=dtype, quantize=quantize, attn_implementation=attn_implementation)
    if is_adapter(folder):
        checkpoint = _load_adapter(folder, base, options=options, merge=merge and quantize is None)
    elif base is not None:
        raise ArgumentError(
            f"a base ({base}) is given for {name_or_path}, which is a whole model and needs none. "
            "Leave it out, or give the folder of an adapter."
        )
    else:
        checkpoint = _load_model(folder, options)
        if checkpoint.research_only:
            tell_licence(str(name_or_path))
    refuse_overflow(folder, checkpoint.model)
    checkpoint.provenance = Provenance.load(folder)
    checkpoint.source = source_of(name_or_path, folder)
    return checkpoint


@dataclass(frozen=True, kw_only=True)
class _Options:
    """How weights are held in memory."""

    dtype: torch.dtype | None
    quantize: str | None
    attn_implementation: str


def _load_model(folder: Path, options: _Options) -> Checkpoint:
    """Checkpoint of a whole model."""
    config = read_json(folder / CONFIG_FILE)
    read = LAYOUTS[layout_of(config, folder)]
    dtype = weights.stored_dtype(folder) if options.dtype is None else options.dtype
    model_kwargs = {
        "dtype": dtype,
        "attn_implementation": options.attn_implementation,
        **quantization_kwargs(options.quantize, compute_dtype=dtype),
    }
    with telling_config_faults(folder):
        checkpoint = read(folder, config, model_kwargs)
    checkpoint.model.eval()
    checkpoint.model.name_or_path = str(folder)  # peft asks the hub about a base without a name
    checkpoint.model.generation_config = generation_config(checkpoint.tokenizer)
    return checkpoint


def _load_adapter(
    folder: Path, base: str | Path | None, *, options: _Options, merge: bool
) -> Checkpoint:
    """Checkpoint of an adapter's base, with the adapter, its words and its clip settings."""
    known = AdapterBase.load(folder)
    named = find_base(folder, base, known=known)
    checkpoint = load_checkpoint(named, **vars(options))
    if known is None:
        warn_unchecked(folder)
    else:
        _refuse_other_base(folder, known, _as_stored(checkpoint, named, options))
        family = family_of(checkpoint.model.config.text_config.model_type)
        checkpoint.tokenizer = load_tokenizer(folder, family)
        checkpoint.model.generation_config = generation_config(checkpoint.tokenizer)
    checkpoint.settings = ClipSettings.load(folder) or checkpoint.settings
    checkpoint.model = attach_adapter(checkpoint.model, folder, merge=merge)
    return checkpoint


def load_as_stored(name_or_path: str | Path) -> Checkpoint:
    """Checkpoint that holds every bit of the stored weights; an adapter's is merged in float32.

    Raises:
        CheckpointError: as `load_checkpoint`.
    """
    whole = not is_adapter(find_folder(name_or_path))
    return load_checkpoint(name_or_path, dtype=None if whole else torch.float32)


def _as_stored(checkpoint: Checkpoint, named: str | Path, options: _Options) -> Checkpoint:
    """The checkpoint itself where memory holds every bit of its weights, or else one that does."""
    if options.quantize is not None:
        return load_as_stored(named)
    if options.dtype == torch.float32:
        return checkpoint
    folder = find_folder(named)
    if not is_adapter(folder) and options.dtype in (None, weights.stored_dtype(folder)):
        return checkpoint
    return load_as_stored(named)


def _refuse_other_base(folder: Path, known: AdapterBase, checkpoint: Checkpoint) -> None:
    differences = compare_bases(known, checkpoint)
    if differences:
        raise CheckpointError(
            f"{folder}: this adapter was trained on {known.name}, and {checkpoint.source} is "
            f"another model. Give the one it was trained on as base.\n"
            f"{difference_table(differences)}"
        )


def _read_fast_vlm(
    folder: Path, config: dict[str, Any], model_kwargs: dict[str, Any]
) -> Checkpoint:
    """Checkpoint in Hugging Face's layout, with the side and aspect its processor names."""
    find_weight_files(folder)
    family = family_of(text_model_type(config))
    model = build_model(folder, folder, model_kwargs)
    tokenizer = load_tokenizer(folder, family)
    check_image_token(folder, tokenizer, image_token_id=model.config.image_token_id)
    rule = read_image_rule(folder)
    frame_size, aspect = read_square(folder, config)
    return Checkpoint(
        model=model,
        tokenizer=tokenizer,
        settings=ClipSettings.load(folder),
        image_mean=rule.mean,
        image_std=rule.std,
        layout="fast_vlm",
        frame_size=frame_size,
        aspect=aspect,
        research_only=is_research_only(folder, config),
    )


def _read_llava(folder: Path, config: dict[str, Any], model_kwargs: dict[str, Any]) -> Checkpoint:
    """Checkpoint in Apple's layout, renamed; `<image>` becomes a word where it was none."""
    frame_size, aspect = read_square(folder, config)
    family = FAMILIES[config["model_type"]]
    tokenizer = load_tokenizer(folder, family, splits_at_images=True)
    image_token_id = add_image_token(tokenizer)
    state = apple.translate_state(read_tensors(folder))
    state = apple.drop_tied_head(state, tied=bool(config.get("tie_word_embeddings")))
    state = apple.grow_embeddings(state, num_words=image_token_id + 1)
    translated = apple_config.translate_config(config, state, image_token_id=image_token_id)
    rule = read_image_rule(folder)
    return Checkpoint(
        model=build_model(
            folder, None, {**model_kwargs, "config": translated, "state_dict": state}
        ),
        tokenizer=tokenizer,
        settings=ClipSettings.load(folder),
        image_mean=rule.mean,
        image_std=rule.std,
        layout=family.layout,
        frame_size=frame_size,
        aspect=aspect,
        research_only=is_research_only(folder, config),
    )


LAYOUTS: dict[str, Callable[[Path, dict[str, Any], dict[str, Any]], Checkpoint]] = {
    "fast_vlm": _read_fast_vlm,
    "llava_qwen2": _read_llava,
    "llava_llama": _read_llava,
}


def layout_of(config: dict[str, Any], folder: Path) -> str:
    """Name of the layout that config.json states, one of `LAYOUTS`.

    Raises:
        CheckpointError: flipbook does not read it.
    """
    model_type = str(config.get("model_type"))
    if model_type in LAYOUTS:
        return model_type
    kin = (
        "a LLaVA whose layout flipbook does not read yet" if "llava" in model_type else "no FastVLM"
    )
    raise CheckpointError(
        f"{folder}: config.json says model_type {model_type!r}, which is {kin}."
        f"{did_you_mean(model_type, LAYOUTS)} Give a checkpoint of one of these: "
        f"{', '.join(LAYOUTS)}."
    )
