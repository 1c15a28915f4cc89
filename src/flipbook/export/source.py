"""What of a run is exported: its whole model, or its adapter alone?

run | folder | hub id, layout, merge_lora  ->  ExportSource
run or model folder                        ->  its scores, for the card
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipbook.errors import ArgumentError
from flipbook.evaluate.file_names import EVALUATION_FOLDER, SCORES_FILE
from flipbook.evaluate.rows import ROWS
from flipbook.model.folders import (
    ADAPTER_IN_RUN,
    CONFIG_FILE,
    MODEL_IN_RUN,
    find_folder,
    is_adapter,
)
from flipbook.score.scores import MEAN

ADAPTER_HOME = "hf"


@dataclass(frozen=True, kw_only=True)
class ExportSource:
    """What is to be loaded, or copied.

    Attributes:
        model: what `load_checkpoint` is given.
        base: the model under an adapter, where it was named.
        folder: that holds the configuration, the words and the licence.
        run_folder: whose scores belong to the model, where it lies in a run.
        is_adapter_alone: the folder is copied, and no model is written.
    """

    model: str | Path
    base: str | Path | None
    folder: Path
    run_folder: Path | None
    is_adapter_alone: bool


def choose_source(
    model: str | Path, *, layout: str, merge_lora: bool, base: str | Path | None
) -> ExportSource:
    """Return what of a run, a folder or a hub id goes into a layout.

    A run's merged model is taken as training left it; with `base` the adapter is merged anew.

    Raises:
        ArgumentError: only an adapter is there and the layout takes whole models, `merge_lora` or
            `base` is given where there is no adapter, or `base` without `merge_lora`.
        CheckpointError: there is no such model.
    """
    folder = find_folder(model)
    run_folder = _run_of(folder)
    adapter = folder if is_adapter(folder) else None
    if adapter is None and Path(model).expanduser() == run_folder:
        beside = run_folder / ADAPTER_IN_RUN
        adapter = beside if is_adapter(beside) else None
    if adapter is None:
        return _whole(model, folder, run_folder, merge_lora=merge_lora, base=base)
    if not merge_lora:
        return _alone(adapter, run_folder, layout=layout, base=base)
    merged = adapter.parent / MODEL_IN_RUN
    is_merged = run_folder is not None and (merged / CONFIG_FILE).is_file() and base is None
    return ExportSource(
        model=merged if is_merged else adapter,
        base=base,
        folder=merged if is_merged else adapter,
        run_folder=run_folder,
        is_adapter_alone=False,
    )


def _whole(
    model: str | Path,
    folder: Path,
    run_folder: Path | None,
    *,
    merge_lora: bool,
    base: str | Path | None,
) -> ExportSource:
    for flag, given in (("--merge_lora", merge_lora), ("--base", base is not None)):
        if given:
            raise ArgumentError(
                f"{flag} is for LoRA adapters, and {model} holds a whole model without one. Leave "
                "it out."
            )
    return ExportSource(
        model=model, base=None, folder=folder, run_folder=run_folder, is_adapter_alone=False
    )


def _alone(
    adapter: Path, run_folder: Path | None, *, layout: str, base: str | Path | None
) -> ExportSource:
    if layout != ADAPTER_HOME:
        raise ArgumentError(
            f"{adapter} is a LoRA adapter, which has no form of its own in the layout {layout}. "
            "Write a whole model with --merge_lora."
        )
    if base is not None:
        raise ArgumentError(
            "--base is read with --merge_lora alone: an adapter is copied without its base. Add "
            "--merge_lora for a whole model, or leave --base out."
        )
    return ExportSource(
        model=adapter, base=None, folder=adapter, run_folder=run_folder, is_adapter_alone=True
    )


def _run_of(folder: Path) -> Path | None:
    """The run that a folder lies in, by the names that training gives."""
    is_part = folder.name in (MODEL_IN_RUN, ADAPTER_IN_RUN)
    return folder.parent if is_part else None


def read_scores(folder: Path) -> dict[str, Any] | None:
    """Return the scores in a run or model, those of its training first; None where it has none.

    Raises:
        ArgumentError: the file is damaged.
    """
    for path in (folder / SCORES_FILE, folder / EVALUATION_FOLDER / SCORES_FILE):
        if path.is_file():
            return _read(path)
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
        counts = scores["num_questions"]
        for row in ROWS.keys() & scores.keys():
            float(scores[row][MEAN]), sum(counts[row].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(
            f"{path}: cannot be read as scores ({type(error).__name__}: {error}). Evaluate again, "
            "or remove the file."
        ) from error
    return dict(scores)
