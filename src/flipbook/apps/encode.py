"""`flipbook encode`: what does the vision tower see of each clip, before training asks?

[config.yaml] flags of `flipbook train` -> the feature store, filled

Workers decode what is not stored yet, the tower encodes it, a thread writes it. Stopped at any
point, the same command goes on where it was; under torchrun each process takes its share.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from accelerate.utils import gather_object
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn
from torch.utils.data import DataLoader, Dataset

from flipbook.data.batch import VisualSlot, make_supervised_data_module
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.features.store import FeatureStore
from flipbook.data.sample import Visual
from flipbook.data.workers.working import reading_record
from flipbook.errors import (
    DataError,
    MediaError,
    StoppedError,
    StorageError,
    WorkerError,
    reason_of,
)
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import plain_model, tower_features
from flipbook.train.arguments import Arguments
from flipbook.train.features import use_store
from flipbook.train.intake.taking import is_prepared, take_in
from flipbook.train.loading import limited_workers
from flipbook.train.parsing import make_parser, parse_arguments
from flipbook.train.progress import format_duration
from flipbook.train.ranks.failing import in_company
from flipbook.train.run_folder import held_for_files
from flipbook.train.start import fit_to_checkpoint, load_start_model, lora_of, prepare_model
from flipbook.video.sampling import DRAWING_SAMPLERS


def run(words: Sequence[str]) -> None:
    """Fill the store for training and validation data, and tell what was done.

    Raises:
        ArgumentError: a flag is wrong, or a run is at work where data must be prepared.
        CheckpointError: the model cannot be loaded.
        DataError: the records cannot be trained on, or a clip cannot be read.
        WorkerError: a worker that read a clip crashed, hung or took too much memory.
        StorageError: the store takes no more.
        StoppedError: a signal asked for it.
    """
    if {"-h", "--help"} & set(words):
        parser = make_parser()
        parser.prog = "flipbook encode [config.yaml]"
        parser.description = (
            "Store what a frozen vision tower sees of each clip, ahead of `flipbook train "
            "--frame_features store` with the same flags."
        )
        parser.print_help()
        return
    arguments = parse_arguments([*words, "--frame_features", "store"])
    try:
        encode(arguments, console=Console(highlight=False, soft_wrap=True))
    except KeyboardInterrupt as stop:
        raise StoppedError(
            f"Stopped by {reason_of(stop)}. What was encoded is kept: the same command goes on "
            "with the other clips."
        ) from None


@dataclass
class Tally:
    """What one process, or all together, did; each video and image counts once in each view."""

    num_encoded: int = 0
    num_found: int = 0
    num_bytes: int = 0
    failed: list[str] = field(default_factory=list)
    stopped: str | None = None

    def add(self, other: Tally) -> None:
        """Count what another process did."""
        self.num_encoded += other.num_encoded
        self.num_found += other.num_found
        self.num_bytes += other.num_bytes
        self.failed += other.failed
        self.stopped = self.stopped or other.stopped


class Seen(NamedTuple):
    """What of a conversation is not stored yet and the keys of what is, or why it is not seen."""

    missing: tuple[Visual, ...]
    found: tuple[str | None, ...] = ()
    failed: str | None = None


class Unseen(Dataset[Seen]):
    """What the data sets show, each clip once in each view.

    Args:
        datasets: with their store set.
        rank, num_processes: which share of the clips is this process's.
    """

    def __init__(
        self, datasets: Sequence[LazySupervisedDataset], *, rank: int, num_processes: int
    ) -> None:
        self.datasets = list(datasets)
        places = [_places(dataset, number) for number, dataset in enumerate(self.datasets)]
        self.places = np.concatenate(places)[rank::num_processes]  # (N, 3)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, number: int) -> Seen:
        which, index, view = (int(value) for value in self.places[number])
        dataset = self.datasets[which]
        record_id = dataset.table.record_id(index)
        try:
            with reading_record([record_id]):
                visuals = dataset.visuals(index, view=view).visuals
        except (MediaError, WorkerError) as error:
            return Seen((), failed=f"{error} (record {record_id})")
        return Seen(
            tuple(visual for visual in visuals if visual.frames is not None),
            tuple(visual.key for visual in visuals if visual.frames is None),
        )


def _places(dataset: LazySupervisedDataset, number: int) -> NDArray[np.int64]:
    """Return rows (number, conversation, view): the first conversation of each clip."""
    _, firsts = np.unique(dataset.table.clips, return_index=True)
    is_drawn = dataset.training and dataset.settings.sampler in DRAWING_SAMPLERS
    views = np.arange(dataset.num_views if is_drawn else 1)
    rows = np.stack(np.meshgrid(number, np.sort(firsts), views, indexing="ij"), axis=-1)
    return rows.reshape(-1, 3).astype(np.int64)


@in_company
def encode(arguments: Arguments, *, console: Console) -> Tally:
    """Return what was done, after filling the store.

    Raises:
        ArgumentError, CheckpointError, DataError, StorageError: see `run`.
    """
    args = arguments.training
    shown = console if args.process_index == 0 else Console(quiet=True)
    run_folder = Path(str(args.output_dir))
    if not is_prepared(arguments.data):
        return _encode_all(arguments, run_folder, is_resumed=False, console=shown)
    with held_for_files(run_folder) as has_begun:
        return _encode_all(arguments, run_folder, is_resumed=has_begun, console=shown)


def _encode_all(
    arguments: Arguments, run_folder: Path, *, is_resumed: bool, console: Console
) -> Tally:
    """Return what was done, with the data of a run that has begun in its folder, where one has."""
    args = arguments.training
    intake = take_in(arguments, run_folder=run_folder, is_resumed=is_resumed, console=console)
    checkpoint = load_start_model(arguments)
    data_args = fit_to_checkpoint(arguments.data, checkpoint)
    data = make_supervised_data_module(
        checkpoint.tokenizer, data_args, train=intake.train, validation=intake.validation
    )
    model = prepare_model(arguments, checkpoint, lora=lora_of(arguments.model)).eval()
    plain_model(model).model.vision_tower.to(args.device)
    store = use_store(arguments, data, model=model, checkpoint=checkpoint)
    assert store is not None, "`frame_features` must be 'store'"
    datasets = [data["train_dataset"], data["eval_dataset"]]
    unseen = Unseen(
        [dataset for dataset in datasets if dataset is not None],
        rank=args.process_index,
        num_processes=args.world_size,
    )
    started_s = time.perf_counter()
    own = _fill(store, unseen, model, checkpoint, arguments=arguments, console=console)
    tally = Tally()
    for one in gather_object([own]):
        tally.add(one)
    _tell(tally, store, time.perf_counter() - started_s, console=console)
    return tally


def _fill(
    store: FeatureStore,
    unseen: Unseen,
    model: nn.Module,
    checkpoint: Checkpoint,
    *,
    arguments: Arguments,
    console: Console,
) -> Tally:
    """Return what this process did."""
    args = arguments.training
    loader: DataLoader[Any] = DataLoader(
        unseen,
        batch_size=None,
        pin_memory=args.dataloader_pin_memory,
        **limited_workers(args, unseen.datasets, num_batches=len(unseen), num_clips=1),
    )
    tally = Tally()
    done: set[str | None] = set()
    columns = (TextColumn("encoding"), BarColumn(bar_width=None), MofNCompleteColumn())
    is_shown = console.is_terminal and not args.disable_tqdm
    progress = Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not is_shown, expand=True
    )
    try:
        with progress:
            for seen in progress.track(loader, total=len(unseen)):
                if seen.failed is not None and seen.failed not in tally.failed:
                    tally.failed.append(seen.failed)
                tally.num_found += len(set(seen.found) - done)
                done.update(seen.found)
                for visual in seen.missing:
                    if visual.key not in done:
                        done.add(visual.key)
                        _encode(store, visual, model, checkpoint)
                if store.stopped is not None:
                    break
    finally:
        store.close()
    tally.num_encoded, tally.num_bytes = store.num_written, store.bytes_written
    tally.stopped = store.stopped
    return tally


def _encode(store: FeatureStore, visual: Visual, model: nn.Module, checkpoint: Checkpoint) -> None:
    """Let the tower see a clip, and have written what it makes of it."""
    assert visual.frames is not None
    features = tower_features(
        model, visual.frames, image_mean=checkpoint.image_mean, image_std=checkpoint.image_std
    )
    slot = VisualSlot(visual.num_frames, False, visual.key, visual.num_repeated)
    store.write_visuals([slot], [features])


def _tell(tally: Tally, store: FeatureStore, seconds: float, *, console: Console) -> None:
    """Print what was done; raise where something is left to do.

    Raises:
        StorageError: the store takes no more.
        DataError: a clip cannot be read.
    """
    console.print(
        f"{tally.num_encoded:,} clips encoded ({tally.num_bytes / 1e6:,.1f} MB) in "
        f"{format_duration(seconds)}, {tally.num_found:,} were there, {len(tally.failed):,} cannot "
        f"be read. Features are in {store.folder}",
        markup=False,
    )
    for line in tally.failed:
        console.print(f"not encoded: {line}", markup=False)
    if tally.stopped is not None:
        raise StorageError(
            f"{store.folder} takes no more features, because {tally.stopped}. Make room or name "
            "another --feature_store, and give the same command again: it goes on where it "
            "stopped. Training reads what is there and encodes the rest as it goes."
        )
    if tally.failed:
        raise DataError(
            f"{len(tally.failed)} of the clips cannot be read, the first is {tally.failed[0]}. All "
            "others are stored. Copy these again, or remove their records."
        )
