"""Under which name does a suite keep the evaluation of a model?

    runs/mine, runs/mine/model   ->  mine                the same model
    runs/mine/checkpoint-40      ->  mine-checkpoint-40
    others/mine                  ->  mine-2              where mine is that of another model
    owner/model, on the hub      ->  model

The same model again has the same name, and its evaluation is replaced.
"""

from __future__ import annotations

import json
import os
import re
from itertools import count
from pathlib import Path

from flipbook.evaluate.file_names import SCORES_FILE
from flipbook.model.folders import ADAPTER_IN_RUN, MODEL_IN_RUN, TINY, find_folder

_CHECKPOINT = re.compile(r"checkpoint-\d+")


def named_from(folder: Path, model: str) -> str:
    """Return by which words a model is found again from a folder: its path from there, or its id.

    Raises:
        CheckpointError: the folder of the model holds none.
    """
    found = _folder_of(model)
    return model if found is None else os.path.relpath(found, folder.resolve())


def evaluation_folder(evaluations: Path, model: str, named: str) -> Path:
    """Return the folder in which the evaluation of a model is kept: its own, or a new one.

    Args:
        named: `named_from` the folder of the suite; evaluations tell of it under provenance.

    Raises:
        CheckpointError: the folder of the model holds none.
    """
    name = plain_name(model)
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(evaluations / own for own in names if _is_free(evaluations / own, named))


def plain_name(model: str) -> str:
    """Return the name of a model's evaluation where no other model has it.

    Raises:
        CheckpointError: the folder of the model holds none.
    """
    folder = _folder_of(model)
    if folder is None:
        return Path(model).name
    if folder.name in (MODEL_IN_RUN, ADAPTER_IN_RUN):
        return folder.parent.name or folder.name
    if _CHECKPOINT.fullmatch(folder.name) and folder.parent.name:
        return f"{folder.parent.name}-{folder.name}"
    return folder.name


def _folder_of(model: str) -> Path | None:
    """Return where a model lies; None for 'tiny' and for models of the hub."""
    if model == TINY or not Path(model).expanduser().is_dir():
        return None
    return find_folder(model).resolve()


def _is_free(folder: Path, named: str) -> bool:
    """Whether a folder holds no scores, or those of the model with that name."""
    path = folder / SCORES_FILE
    if not path.exists():
        return True
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["provenance"]["suite"]["model"]
    except (KeyError, OSError, TypeError, ValueError):
        return False  # whose they are is not told, so they are kept
    return bool(told == named)
