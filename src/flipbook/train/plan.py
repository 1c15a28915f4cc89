"""What will this run do, and does it fit?

data check, model, arguments -> the lines that are printed before the first step
"""

from __future__ import annotations

import math

import numpy as np
from rich.console import Console
from rich.table import Table
from torch import nn

from flipbook.data.batch import DataModule
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.manifests import list_reasons
from flipbook.data.packing import PackedBatches
from flipbook.model.fastvlm import plain_model, tower_is_at_rest
from flipbook.model.tuning import part_sizes
from flipbook.train.arguments import Arguments, TrainingArguments
from flipbook.train.features import store_folder
from flipbook.video.sampling import DRAWING_SAMPLERS


def print_plan(
    console: Console,
    *,
    model: nn.Module,
    data: DataModule,
    batches: PackedBatches,
    arguments: Arguments,
) -> None:
    """Show what trains, on what, how long, and the token budget of a clip."""
    console.print(_parts_table(model))
    dataset = data["train_dataset"]
    console.print(_budget_line(dataset))
    _print_data(console, "training", dataset)
    if data["eval_dataset"] is not None:
        _print_data(console, "validation", data["eval_dataset"])
    console.print(_batches_line(batches, arguments.training))
    if tower_is_at_rest(model):
        console.print(_features_line(dataset, model, arguments), markup=False)


def num_optimizer_steps(batches: PackedBatches, args: TrainingArguments) -> int:
    """Return how many optimizer steps a run has."""
    if args.max_steps > 0:
        steps: int = args.max_steps
        return steps
    of_a_process = len(batches) // batches.num_processes
    steps_per_epoch: int = max(math.ceil(of_a_process / args.gradient_accumulation_steps), 1)
    num_epochs: float = args.num_train_epochs
    num_steps: int = math.ceil(steps_per_epoch * num_epochs)
    return num_steps


def _parts_table(model: nn.Module) -> Table:
    table = Table(title="What trains", title_justify="left")
    for heading in ("part", "weights", "trained", "precision"):
        table.add_column(heading, justify="left" if heading in ("part", "precision") else "right")
    for size in part_sizes(model):
        trained = f"{size.num_trainable:,}" if size.num_trainable else "frozen"
        table.add_row(size.part, f"{size.num_weights:,}", trained, ", ".join(size.dtypes))
    return table


def _budget_line(dataset: LazySupervisedDataset) -> str:
    settings, check = dataset.settings, dataset.check
    frames = f"{settings.num_frames} frame{'s' if settings.num_frames > 1 else ''}"
    if settings.sampler == "fps":
        frames = f"{settings.min_frames} to {settings.max_frames} frames"
    per_frame = settings.tokens_per_frame
    return (
        f"A clip: {frames} ({settings.sampler}) of {settings.frame_size} px, {per_frame} tokens "
        f"each. Longest conversation: {check.longest_tokens} tokens (record {check.longest_id}); "
        f"the limit is {dataset.max_length}."
    )


def _print_data(console: Console, name: str, dataset: LazySupervisedDataset) -> None:
    check = dataset.check
    console.print(
        f"{name}: {check.num_conversations:,} conversations, {check.total_tokens:,} tokens, of "
        f"which {check.total_supervised_tokens:,} are learned."
    )
    if check.num_mismatched:
        console.print(
            f"  {check.num_mismatched:,} conversations would be encoded a few tokens differently "
            "as one text; accepted."
        )
    if check.rejected:
        left_out = f"  {len(check.rejected):,} records are left out (--max_bad_fraction):"
        console.print(left_out + list_reasons(check.rejected), markup=False)


def _batches_line(batches: PackedBatches, args: TrainingArguments) -> str:
    units = batches.units
    alone = int(units.num_alone.sum())
    together = int(units.num_tokens.sum())
    saved = f", {1 - together / alone:.0%} fewer than each alone" if together < alone else ""
    return (
        f"{len(units.members):,} questions in {len(units):,} passes of {together:,} tokens{saved}. "
        f"{num_optimizer_steps(batches, args):,} steps, {len(batches):,} batches an epoch, "
        f"{batches.filling:.0%} full, on {args.world_size} process(es)."
    )


def _features_line(dataset: LazySupervisedDataset, model: nn.Module, arguments: Arguments) -> str:
    settings, table = dataset.settings, dataset.table
    tower = plain_model(model).model.vision_tower
    num_clips = len(np.unique(table.clips[table.head_tokens > 0]))
    num_views = arguments.data.feature_views if settings.sampler in DRAWING_SAMPLERS else 1
    num_frames = settings.max_frames if settings.sampler == "fps" else settings.num_frames
    num_numbers = num_frames * settings.tokens_per_frame * tower.config.hidden_size
    size = num_clips * num_views * num_numbers * next(tower.parameters()).itemsize / 1e9
    clips = f"{num_clips:,} training clips" + (f" in {num_views} views" if num_views > 1 else "")
    if arguments.data.frame_features == "store":
        return f"Features of {clips} take about {size:.2f} GB in {store_folder(arguments)}."
    return (
        f"Each clip is decoded and encoded at every pass. --frame_features store does so once and "
        f"keeps about {size:.2f} GB for {clips}."
    )
