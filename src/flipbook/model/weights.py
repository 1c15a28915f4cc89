"""Do the tensors of a checkpoint fit its configuration, every one of them?

    folder with weight files             ->  tensors by name, on the CPU, as stored
    configuration, folder or tensors     ->  model whose every tensor came from there

A tensor that is missing, left over or of another shape is an error that names it. Pickled files
are read as plain tensors or not at all.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import FastVlmForConditionalGeneration

from flipbook.errors import CheckpointError
from flipbook.model.folders import find_weight_files


def build_model(folder: Path, source: Path | None, model_kwargs: dict[str, Any]) -> Any:
    """Model whose every tensor came from `source` or from the given `state_dict`."""
    model: Any
    report: dict[str, Any]
    try:
        model, report = FastVlmForConditionalGeneration.from_pretrained(
            source,
            **model_kwargs,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that all of them can be named at once
            local_files_only=True,
            weights_only=True,
        )  # type: ignore[misc]
    except torch.OutOfMemoryError:
        raise  # the file is not to blame
    except (OSError, ValueError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{folder}: the weights cannot be loaded ({error}). Copy or download them again."
        ) from error
    mismatched = [
        f"{name} {list(got)} for {list(want)}" for name, got, want in report["mismatched_keys"]
    ]
    _refuse_differences(
        folder,
        missing=sorted(report["missing_keys"]),
        unexpected=sorted(report["unexpected_keys"]),
        **{"of another shape": sorted(mismatched)},
    )
    if model.config.tie_word_embeddings and (
        model.lm_head.weight is not model.get_input_embeddings().weight
    ):
        raise CheckpointError(
            f'{folder}: config.json says "tie_word_embeddings": true, and the stored lm_head '
            "differs from the embeddings. Set it to false if the two were trained apart."
        )
    return model


def _refuse_differences(folder: Path, **names_by_kind: list[str]) -> None:
    """Refuse a model with weights that the file did not give, or a file with weights to spare."""
    parts = []
    for kind, names in names_by_kind.items():
        if names:
            shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            parts.append(f"{len(names)} {kind}: {shown}")
    if parts:
        raise CheckpointError(
            f"{folder}: the weights do not fit config.json ({'; '.join(parts)}). Copy weights and "
            "config.json from the same checkpoint."
        )


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder, on the CPU, as stored."""
    state: dict[str, Tensor] = {}
    for path in find_weight_files(folder):
        try:
            if path.suffix == ".safetensors":
                state |= load_file(path)
            else:
                state |= torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"{path}: the weights cannot be read ({error}). Copy or download the file again."
            ) from error
    return state
