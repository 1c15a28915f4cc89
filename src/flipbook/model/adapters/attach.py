"""How does an adapter become a model again?

    folder with adapter_config.json and adapter_model.safetensors, model of the base
        ->  the base with the adapter merged into its weights, or beside them

An adapter's file holds the LoRA factors and every other weight that trained, with the statistics of
a trained tower. It fits its base tensor for tensor, or is refused with the names of what does not.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from flipbook.errors import CheckpointError
from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.model.folders import ADAPTER_FILE, ADAPTER_WEIGHTS, TINY, find_folder, read_json

_logger = logging.getLogger("flipbook")
TIED = {"embed_tokens", "lm_head"}  # one matrix in a model with a tied head
_NUM_NAMES_SHOWN = 3


def find_base(folder: Path, base: str | Path | None, *, known: AdapterBase | None) -> str | Path:
    """What to load as base of the adapter in `folder`: `base`, or what the adapter names.

    Raises:
        CheckpointError: it names none, names itself, or its base is no longer in its place.
    """
    if base is not None:
        named: str | Path = base
    else:
        named = str(read_json(folder / ADAPTER_FILE).get("base_model_name_or_path") or "")
        if not Path(named).is_dir() and known is not None and known.name == TINY:
            named = TINY  # its folder has another path on another machine
    if not str(named):
        raise CheckpointError(
            f"{folder / ADAPTER_FILE}: names no base model. {_how_to_give_it(folder)}"
        )
    try:
        found = find_folder(named)
    except CheckpointError as error:
        if base is not None:
            raise
        called = "" if known is None or known.name == str(named) else f" ({known.name})"
        raise CheckpointError(
            f"{folder}: the base of this adapter{called} cannot be found: {error} "
            f"{_how_to_give_it(folder)}"
        ) from error
    if found.resolve() == folder.resolve():
        raise CheckpointError(
            f"{folder}: this adapter is named as its own base. {_how_to_give_it(folder)}"
        )
    return named


def _how_to_give_it(folder: Path) -> str:
    return (
        "Give the model that it was trained on: --base MODEL, load_checkpoint(..., base=MODEL), or "
        f"for good as base_model_name_or_path in {folder.name}/{ADAPTER_FILE}."
    )


def attach_adapter(model: Any, folder: Path, *, merge: bool) -> Any:
    """Model of the base with the adapter of `folder` in its weights, or beside them as PEFT has it.

    Raises:
        CheckpointError: the adapter is no LoRA, is damaged, or fits another model.
    """
    config = _read_config(folder)
    tensors = _read_tensors(folder)
    _refuse_tied(model, config, folder)
    config.base_model_name_or_path = model.name_or_path  # or else peft warns of the difference
    try:
        # Beside the weights the factors have their precision; in a sum they count in float32.
        tuned = get_peft_model(model, config, autocast_adapter_dtype=merge)
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0].partition(" Please")[0]
        raise CheckpointError(
            f"{folder}: {ADAPTER_FILE} cannot be applied to this model ({reason}), so it belongs "
            "to another kind of model. Give an adapter that was trained on a FastVLM."
        ) from error
    expected = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    _refuse_misfit(folder, tensors, expected)
    set_peft_model_state_dict(tuned, tensors)
    tuned.requires_grad_(False)
    return merge_adapter(tuned) if merge else tuned.eval()


def _refuse_tied(model: Any, config: LoraConfig, folder: Path) -> None:
    trained = {name.rpartition(".")[2] for name in config.modules_to_save or ()} & TIED
    if model.config.tie_word_embeddings and trained:
        raise CheckpointError(
            f"{folder}: the adapter trained {' and '.join(sorted(trained))}, which this base holds "
            "once for both ends of the language model. Train LoRA without them."
        )


def merge_adapter(tuned: Any) -> Any:
    """Model without adapters whose weights have taken them up; the memory is that of `tuned`.

    The sum is taken in float32 and rounded once to the precision of the weights.
    """
    for module in tuned.modules():
        if isinstance(module, LoraLayer):
            layer: Any = module.get_base_layer()
            dtype = layer.weight.dtype
            layer.float()
            module.merge()
            layer.to(dtype)
    return tuned.unload()


def _read_config(folder: Path) -> LoraConfig:
    path = folder / ADAPTER_FILE
    content = read_json(path)
    if content.get("peft_type") != "LORA":
        raise CheckpointError(
            f"{path}: peft_type is {content.get('peft_type')!r}; flipbook reads LORA. Give a LoRA "
            "adapter, or merge this one with the library that made it."
        )
    try:
        config: LoraConfig = LoraConfig.from_pretrained(str(folder))
        config.modules_to_save = [str(name) for name in config.modules_to_save or ()]
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path}: is no configuration that peft can read ({reason}). Copy the adapter again."
        ) from error
    config.inference_mode = True
    return config


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    path = folder / ADAPTER_WEIGHTS
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: holds {ADAPTER_FILE} and no {ADAPTER_WEIGHTS}. Copy the adapter again, "
            "with all of its files; one of pickled weights must be saved as safetensors first."
        )
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: the adapter's weights are cut off or damaged ({error}). Copy them again."
        ) from error


def _refuse_misfit(folder: Path, found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    faults = []
    for kind, names in (
        ("missing", expected.keys() - found.keys()),
        ("unexpected", found.keys() - expected.keys()),
        ("of another shape", _reshaped(found, expected)),
    ):
        if names:
            shown = ", ".join(sorted(names)[:_NUM_NAMES_SHOWN])
            more = ", ..." if len(names) > _NUM_NAMES_SHOWN else ""
            faults.append(f"{len(names)} {kind}: {shown}{more}")
    if faults:
        raise CheckpointError(
            f"{folder}: the adapter does not fit this base ({'; '.join(faults)}). "
            f"{_how_to_give_it(folder)}"
        )


def _reshaped(found: dict[str, Tensor], expected: dict[str, Tensor]) -> set[str]:
    both = found.keys() & expected.keys()
    return {name for name in both if found[name].shape != expected[name].shape}


def warn_unchecked(folder: Path) -> None:
    """Warn that nothing tells whether this is the base that the adapter was trained on."""
    _logger.warning(
        "%s holds no base.json: the adapter's tensors fit this base, and nothing tells whether it "
        "was trained on these very weights.",
        folder,
    )
