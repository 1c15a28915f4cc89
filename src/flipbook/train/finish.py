"""What does a finished run leave of its model?

    trained model  ->  RUN/adapter/ (with LoRA), then RUN/model/ with the adapter merged into it

Each folder is written whole beside its place and then named, so a stopped process leaves what was
there before. A run that was stopped here goes on from its last checkpoint, and only writes these.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from flipbook.data.written import put_folder, sync_tree
from flipbook.model.adapters.attach import merge_adapter
from flipbook.model.adapters.saving import save_adapter
from flipbook.model.adapters.trained_on import AdapterBase
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.model.folders import ADAPTER_IN_RUN, MODEL_IN_RUN
from flipbook.model.saving import open_to_readers, save_checkpoint
from flipbook.train.arguments import Arguments
from flipbook.train.checkpoints.full_disk import refused_writes, storage_error
from flipbook.train.sound.read_back import refuse_other_tensors
from flipbook.train.trainer import FlipbookTrainer


def save_run(
    trainer: FlipbookTrainer,
    arguments: Arguments,
    checkpoint: Checkpoint,
    *,
    run_folder: Path,
    base: AdapterBase | None,
) -> Path:
    """Folder of the tuned model, written by one process while the others wait.

    Args:
        trainer: after its last step.
        arguments: of the run.
        checkpoint: whose words and settings go with the model; with LoRA its model is the merged
            one afterwards.
        run_folder: where to write.
        base: what was tuned, with LoRA.

    Raises:
        StorageError: it cannot be written.
    """
    model_folder = run_folder / MODEL_IN_RUN
    trainer.refuse_weights()
    trainer.accelerator.wait_for_everyone()
    state_dict: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.args.process_index != 0:
        trainer.accelerator.wait_for_everyone()
        return model_folder
    tuned: Any = trainer.accelerator.unwrap_model(trainer.model)
    if base is not None:
        folder = run_folder / ADAPTER_IN_RUN
        _write_whole(
            folder,
            lambda staged: save_adapter(
                staged, checkpoint, tuned=tuned, base=base, state_dict=state_dict
            ),
            state_dict=state_dict,
        )
        checkpoint.model = _merged(tuned, arguments, checkpoint, folder)
        state_dict = checkpoint.model.state_dict()
    dtype = _saved_dtype(arguments)
    state_dict = {n: t.to(dtype) if t.is_floating_point() else t for n, t in state_dict.items()}
    _write_whole(
        model_folder,
        lambda staged: refuse_other_tensors(
            save_checkpoint(staged, checkpoint, state_dict=state_dict), state_dict
        ),
        state_dict=state_dict,
    )
    trainer.accelerator.wait_for_everyone()
    return model_folder


def _write_whole(
    folder: Path,
    write: Callable[[Path], object],
    *,
    state_dict: dict[str, Any],
) -> None:
    """Put what `write` makes in the place of `folder`, all of it or nothing.

    Raises:
        StorageError: it cannot be written; what was there before is as it was.
    """
    staged = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    refused: list[Exception] = []
    with refused_writes(refused):
        write(staged)
        open_to_readers(staged)
        sync_tree(staged)
        put_folder(staged, folder)
    if refused:
        shutil.rmtree(staged, ignore_errors=True)
        raise storage_error(
            refused[0],
            what=f"{folder.name}/",
            run_folder=folder.parent,
            needed_bytes=sum(t.numel() * t.element_size() for t in state_dict.values()),
        ) from refused[0]


def _saved_dtype(arguments: Arguments) -> torch.dtype:
    """Return the precision of the saved weights: that in which they were multiplied in training."""
    asked = arguments.model.save_dtype
    if asked == "auto":
        asked = "bfloat16" if arguments.training.bf16 else "float32"
    dtype: torch.dtype = getattr(torch, asked)
    return dtype


def _merged(tuned: Any, arguments: Arguments, checkpoint: Checkpoint, adapter_folder: Path) -> Any:
    """Return the base with the adapters added to its weights."""
    if arguments.model.quantize == "none":
        return merge_adapter(tuned)
    # Quantised weights cannot take up an adapter without a new rounding: the originals do.
    return load_checkpoint(adapter_folder, base=checkpoint.source).model
