"""Do the weights of a folder fit its configuration, as far as their headers tell?

    config.json, dtype and shape by name  ->  FastVlmConfig, tensors without values by their names

The same functions translate Apple's layout as when the weights are loaded; only the tensors are
without values, so a model of any size is checked in the memory of a small one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import FastVlmConfig, FastVlmForConditionalGeneration

from flipbook.data.placeholders import IMAGE_TOKEN
from flipbook.errors import CheckpointError
from flipbook.model.apple import config as apple_config
from flipbook.model.apple import tensors as apple
from flipbook.model.apple.names import HEAD
from flipbook.model.folders import ADAPTER_FILE, ADAPTER_WEIGHTS
from flipbook.model.weights import StoredTensor, header_of, refuse_differences

HF_LAYOUT = "fast_vlm"
_BUILD_ERRORS = (ArithmeticError, AttributeError, KeyError, RuntimeError, TypeError, ValueError)
_COUNTER = "num_batches_tracked"  # of batch statistics, which no forward pass reads


@contextmanager
def telling_config_faults(folder: Path) -> Iterator[None]:
    """Turn what transformers says of a value in config.json into an error with the folder's name.

    Raises:
        CheckpointError: a value is of another kind than its field.
    """
    try:
        yield
    except StrictDataclassError as error:
        reason = " ".join(str(error).split(". Errors:")[0].split())
        raise CheckpointError(
            f"{folder}: config.json has a wrong value ({reason}). Copy or download the checkpoint "
            "again."
        ) from error


def text_model_type(config: Mapping[str, Any]) -> str:
    """Return the kind of language model that config.json of the `fast_vlm` layout names."""
    text = config.get("text_config")
    named = text.get("model_type") if isinstance(text, dict) else None
    return str(named or "qwen2")  # what transformers takes where nothing is named


def check_image_token(folder: Path, tokenizer: Any, *, image_token_id: int) -> None:
    """Hold the tokenizer's word for a picture against the configuration's.

    Raises:
        CheckpointError: they differ, or the tokenizer has none.
    """
    known = tokenizer.get_vocab().get(IMAGE_TOKEN)
    if known != image_token_id:
        raise CheckpointError(
            f"{folder}: {IMAGE_TOKEN} is {known} in the tokenizer and {image_token_id} in "
            "config.json. Copy the tokenizer and the configuration from the same checkpoint."
        )


def adapter_headers(folder: Path) -> dict[str, StoredTensor]:
    """Dtype and shape of every tensor of an adapter, by name.

    Raises:
        CheckpointError: its weights are missing or damaged.
    """
    path = folder / ADAPTER_WEIGHTS
    if path.is_file():
        return header_of(path)
    raise CheckpointError(
        f"{folder}: holds {ADAPTER_FILE} and no {ADAPTER_WEIGHTS}. Copy the adapter again, with "
        "all of its files."
    )


def fit_headers(
    folder: Path,
    config: dict[str, Any],
    headers: Mapping[str, StoredTensor],
    *,
    image_token_id: int,
) -> tuple[FastVlmConfig, dict[str, Tensor]]:
    """Return configuration and tensors on the meta device, in the words of the `fast_vlm` layout.

    Tensors are as they are stored, but that a head which is tied to the embeddings is left out.

    Raises:
        CheckpointError: a tensor is missing, left over, or of another shape than config.json says.
    """
    state = {
        name: torch.empty(header.shape, dtype=header.dtype, device="meta")
        for name, header in headers.items()
    }
    if config["model_type"] == HF_LAYOUT:
        translated = FastVlmConfig.from_dict(config)
        stored = _without_tied_head(state, tied=bool(translated.tie_word_embeddings))
        expected = stored
    else:
        stored = apple.translate_state(state)
        stored = _without_tied_head(stored, tied=bool(config.get("tie_word_embeddings")))
        # Rows for `<image>` come with loading: they are in no file.
        expected = apple.grow_embeddings(stored, num_words=image_token_id + 1)
        translated = apple_config.translate_config(config, expected, image_token_id=image_token_id)
    _refuse_misfit(folder, translated, expected)
    return translated, stored


def _without_tied_head(state: Mapping[str, Tensor], *, tied: bool) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not tied or name != HEAD}


def _refuse_misfit(folder: Path, config: FastVlmConfig, state: dict[str, Tensor]) -> None:
    try:
        with torch.device("meta"):
            built: Any = FastVlmForConditionalGeneration(config)
    except _BUILD_ERRORS as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{folder}: no model can be built from config.json ({reason}). Copy or download the "
            "checkpoint again."
        ) from error
    wanted = _without_tied_head(built.state_dict(), tied=bool(config.tie_word_embeddings))
    missing = wanted.keys() - state.keys()
    refuse_differences(
        folder,
        missing=sorted(name for name in missing if not name.endswith(_COUNTER)),
        unexpected=sorted(name for name in state.keys() - wanted.keys()),
        **{
            "of another shape": sorted(
                f"{name} {list(state[name].shape)} for {list(wanted[name].shape)}"
                for name in wanted.keys() & state.keys()
                if state[name].shape != wanted[name].shape
            )
        },
    )
