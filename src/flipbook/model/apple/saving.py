"""How does a model become a folder that Apple's code can load?

    Checkpoint  ->  config.json, weights, vocab.json and merges.txt of `llava_qwen2`

What is written is held against the contract afterwards (`contract.py`), so a folder that Apple's
code would misread is an error here and no surprise there. To add a field: `config.py` where the
model says it, here where the clips or the words do.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import Tensor

from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.errors import CheckpointError
from flipbook.model.apple.config import write_config
from flipbook.model.apple.contract import broken_rules, clip_tokens, limits, name_fault
from flipbook.model.apple.tensors import to_apple_state
from flipbook.model.apple.words import write_words
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.families import family_of
from flipbook.model.folders import write_json
from flipbook.model.processing import NO_MEAN, NO_STD

APPLE_MAX_TOKENS = 8192  # tokenizer_model_max_length of Apple's own three checkpoints
_logger = logging.getLogger("flipbook")


def save_apple_checkpoint(
    folder: str | Path,
    checkpoint: Checkpoint,
    *,
    max_shard_size: str = "5GB",
    for_swift: bool = False,
) -> Path:
    """Folder in Apple's layout with the same weights, words and clip settings.

    Args:
        folder: made where it does not exist; its name must hold `llava`.
        checkpoint: what to save; without `settings`, the defaults at its side and aspect.
        max_shard_size: of a weight file, as "5GB"; what is larger becomes several with an index.
        for_swift: name the id of `<image>` for Apple's app, which other readers take amiss.

    Raises:
        CheckpointError: the folder's name is one that Apple's code takes for another model, a
            tensor has no name in Apple's layout, its language model or aspect has no word, or
            what was written breaks the contract.
    """
    folder = Path(folder)
    fault = name_fault(folder)
    if fault:
        raise CheckpointError(f"{folder}: {fault}")
    model, tokenizer, settings = checkpoint.model, checkpoint.tokenizer, checkpoint.clip_settings
    if (checkpoint.image_mean, checkpoint.image_std) != (NO_MEAN, NO_STD):
        raise CheckpointError(
            f"the model reads pictures with mean {checkpoint.image_mean} and std "
            f"{checkpoint.image_std}, and Apple's code feeds the tower plain values from 0 to 1. "
            "Use another layout."
        )
    tensors = to_apple_state(model.state_dict())
    config = write_config(model.config, frame_size=settings.frame_size, aspect=settings.aspect)
    _warn_of_large(tensors)
    config["eos_token_id"] = tokenizer.eos_token_id  # Apple's code stops at it and knows no other
    config["tokenizer_model_max_length"] = _max_tokens(checkpoint)
    config["torch_dtype"] = str(model.dtype).removeprefix("torch.")
    if for_swift:
        config["image_token_index"] = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    _write_tensors(folder, tensors, max_shard_size=max_shard_size)
    family = family_of(model.config.text_config.model_type)
    write_words(folder, tokenizer, family=family, keep_image=for_swift)
    settings.save(folder)
    if checkpoint.provenance is not None:
        checkpoint.provenance.save(folder)
    _hold_to_contract(folder)
    return folder


def _warn_of_large(tensors: dict[str, Tensor]) -> None:
    """Tell of weights that become infinite where Apple's code loads all of them as float16."""
    largest = torch.finfo(torch.float16).max
    names = [name for name, tensor in tensors.items() if bool((tensor.abs() > largest).any())]
    if names:
        _logger.warning(
            "%d weights are larger than 65504 (%s), and Apple's code loads float16, where they "
            "become infinite: load the folder in another precision there.",
            len(names),
            ", ".join(names[:3]),
        )


def _hold_to_contract(folder: Path) -> None:
    faults = broken_rules(folder)
    if faults:
        raise CheckpointError(f"{folder}: " + " ".join(faults))
    for limit in limits(folder):
        _logger.warning("%s", limit)


def _max_tokens(checkpoint: Checkpoint) -> int:
    """How many tokens Apple's code may read before it cuts: no less than the model was trained on.

    A cut is silent and takes the question first. Beyond `max_position_embeddings` the model itself
    was never meant to read.
    """
    recipe = {} if checkpoint.provenance is None else checkpoint.provenance.recipe
    trained = max(int(recipe.get(k) or 0) for k in ("model_max_length", "longest_tokens"))
    longest: int = checkpoint.model.config.text_config.max_position_embeddings
    return min(longest, max(APPLE_MAX_TOKENS, trained, clip_tokens(checkpoint.clip_settings)))


def _write_tensors(folder: Path, tensors: dict[str, Tensor], *, max_shard_size: str) -> None:
    """Write one safetensors file, or several with an index; one file is copied at a time."""
    plan = split_torch_state_dict_into_shards(
        tensors, filename_pattern="model{suffix}.safetensors", max_shard_size=max_shard_size
    )
    for file, names in plan.filename_to_tensors.items():
        apart = {name: tensors[name].detach().cpu().clone().contiguous() for name in names}
        save_file(apart, folder / file, metadata={"format": "pt"})
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        write_json(folder / "model.safetensors.index.json", index)
