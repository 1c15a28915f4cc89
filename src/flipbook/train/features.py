"""Where does a run keep what its frozen vision tower sees?

Arguments, model -> FeatureStore, or None
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from flipbook.data.batch import DataModule
from flipbook.data.features.store import FeatureStore
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.encoder import encoder_fingerprint
from flipbook.train.arguments import Arguments, TrainingArguments

FOLDER_BESIDE_RUNS = "features"


def open_store(
    arguments: Arguments, *, model: nn.Module, checkpoint: Checkpoint
) -> FeatureStore | None:
    """Return the store that the arguments ask for; None with `--frame_features live`.

    Args:
        model: as it will be trained, with its frozen weights in their precision.
        checkpoint: it comes from; tells how its pictures are normalised.
    """
    if arguments.data.frame_features != "store":
        return None
    args = arguments.training
    return FeatureStore(
        store_folder(arguments),
        encoder=encoder_fingerprint(
            model,
            image_mean=checkpoint.image_mean,
            image_std=checkpoint.image_std,
            device_type=args.device.type,
        ),
        max_bytes=store_max_bytes(arguments),
    )


def use_store(
    arguments: Arguments, data: DataModule, *, model: nn.Module, checkpoint: Checkpoint
) -> FeatureStore | None:
    """Return the store as `open_store` does, after telling the data of it."""
    store = open_store(arguments, model=model, checkpoint=checkpoint)
    for dataset in (data["train_dataset"], data["eval_dataset"]):
        if store is not None and dataset is not None:
            dataset.store = store
            dataset.num_views = arguments.data.feature_views
    return store


def store_folder(arguments: Arguments) -> Path:
    """Return the folder that is named, or else the one beside the run, which its sisters share."""
    named = arguments.data.feature_store
    if named is not None:
        return Path(named).expanduser()
    return folder_beside(Path(str(arguments.training.output_dir)))


def store_max_bytes(arguments: Arguments) -> int | None:
    """Return the most that the store may hold; None is what the disk can spare."""
    return int(arguments.data.feature_store_max_gb * 1e9) or None


def folder_beside(run_folder: Path) -> Path:
    """Return the folder beside a run that it shares with its sisters."""
    return run_folder.absolute().parent / FOLDER_BESIDE_RUNS


def autocast_dtype(args: TrainingArguments) -> torch.dtype | None:
    """Return the precision of a run where it may choose; None for that of the weights."""
    if args.bf16:
        return torch.bfloat16
    return torch.float16 if args.fp16 else None
