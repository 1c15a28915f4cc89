"""What will this run do, and does it fit?

    model or its shape, data, batches, arguments -> Plan: facts, choices, what is best

`flipbook plan` makes it before a weight is read, `flipbook train` before the first step; of a model
only names and shapes of its weights count. `plan_text.py` tells how it reads.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from rich.console import Console
from torch import nn

from flipbook.data.batch import DataModule
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.epochs.packing import PackedBatches
from flipbook.model.fastvlm import plain_model, tower_is_at_rest
from flipbook.model.tuning import part_sizes
from flipbook.train.arguments import Arguments, TrainingArguments
from flipbook.train.batches import BatchRules
from flipbook.train.features import store_folder
from flipbook.train.planning.choices import (
    Budget,
    Grid,
    Weigher,
    best_of,
    footprints_of,
    tuning_name,
    weigh_all,
)
from flipbook.train.planning.facts import Features, Passes, Plan, Spread, Wanted
from flipbook.train.planning.forecast import load_memory_model
from flipbook.train.planning.lengths import Layout, SampleLengths, layouts_of, too_long
from flipbook.train.planning.memory import available_bytes
from flipbook.train.planning.text import show_plan
from flipbook.video.sampling import DRAWING_SAMPLERS

NUM_BINS = 10
CHECKPOINTING_FLAGS = {"activation_checkpointing", "gradient_checkpointing"}


def make_plan(
    *,
    model: nn.Module,
    data: DataModule,
    batches: PackedBatches,
    arguments: Arguments,
    wanted: Wanted | None = None,
) -> Plan:
    """Return the plan of a run.

    Args:
        model: with its trainable weights chosen; it may be on the meta device.
        batches: of the training data.
    """
    wanted = wanted or Wanted()
    dataset = data["train_dataset"]
    lengths = SampleLengths.of(dataset)
    device_type = wanted.device_type or arguments.training.device.type
    limits = (wanted.max_length, dataset.max_length, arguments.data.max_batch_tokens)
    budget = Budget(
        memory_bytes=wanted.memory_bytes or available_bytes(arguments.training.device),
        max_length=min((limit for limit in limits if limit is not None), default=sys.maxsize),
        batch_tokens=wanted.batch_tokens,
    )
    check = dataset.check
    weigher = Weigher(
        memory=load_memory_model(),
        lengths=lengths,
        layouts=_layouts(batches, lengths, arguments, wanted),
        budget=budget,
        targets_each=check.total_supervised_tokens / check.num_conversations,
        device_type=device_type,
        num_processes=batches.num_processes,
        max_batch_tokens=arguments.data.max_batch_tokens,
        recomputes=_decided(arguments),
    )
    footprints = footprints_of(plain_model(model).config, arguments)
    choices = weigh_all(weigher, footprints, _grid(wanted, weigher))
    tuning, own_size = tuning_name(arguments.model.lora_r), next(iter(weigher.layouts))
    (own,) = weigher.weigh({tuning: footprints[tuning]}, lengths.measured, own_size)
    return Plan(
        parts=part_sizes(model),
        samples=_spread(dataset, lengths),
        too_long=too_long(dataset, lengths, max_length=budget.max_length),
        passes=_passes(batches, arguments.training),
        features=_features(lengths, dataset, model, arguments) if tower_is_at_rest(model) else None,
        device_type=device_type,
        budget=budget,
        own=own,
        choices=tuple(choices),
        best=best_of(choices, budget),
        memory_model=weigher.memory.told(device_type),
    )


def print_plan(
    console: Console,
    *,
    model: nn.Module,
    data: DataModule,
    batches: PackedBatches,
    arguments: Arguments,
) -> Plan:
    """Show the plan of a run, with choices at its own frames and side; return it."""
    plan = make_plan(model=model, data=data, batches=batches, arguments=arguments)
    show_plan(console, plan, data)
    return plan


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


def _layouts(
    batches: PackedBatches, lengths: SampleLengths, arguments: Arguments, wanted: Wanted
) -> dict[int | None, Layout]:
    """Return how batches of each size are packed, those of the run first.

    Where they are filled by tokens, there are those alone.
    """
    words, args = arguments.data, arguments.training
    if words.max_batch_tokens is not None:
        return {None: Layout(batches)}
    own = int(args.train_batch_size)
    others = layouts_of(
        lengths,
        BatchRules.of(words),
        [size for size in wanted.batch_sizes if size != own],
        num_processes=batches.num_processes,
        seed=args.order_seed,
    )
    return {own: Layout(batches), **others}


def _grid(wanted: Wanted, weigher: Weigher) -> Grid:
    """Return what is asked for and what the run does, from small to large.

    Of a run with a layout of its own, no other frames and sides than its own are known.
    """
    measured = weigher.lengths.measured
    frames: tuple[int, ...] = (measured.num_frames,)
    sides: tuple[int, ...] = (measured.side_px,)
    if not weigher.lengths.is_laid_out:
        frames, sides = (*wanted.num_frames, *frames), (*wanted.sides_px, *sides)
    return Grid(
        num_frames=tuple(sorted(set(frames))),
        sides_px=tuple(sorted(set(sides))),
        batch_sizes=tuple(sorted(weigher.layouts, key=lambda size: size or 0)),
    )


def _decided(arguments: Arguments) -> bool | None:
    """Return whether activations are computed twice, where the user has said so."""
    if CHECKPOINTING_FLAGS & arguments.explicit:
        return bool(arguments.training.activation_checkpointing)
    return None


def _spread(dataset: LazySupervisedDataset, lengths: SampleLengths) -> Spread:
    tokens = lengths.num_tokens(lengths.measured)
    low, high = int(tokens.min()), int(tokens.max())
    width = max(1, math.ceil((high - low + 1) / NUM_BINS))
    edges = np.arange(low, high + width + 1, width)
    counts, _ = np.histogram(tokens, bins=edges)
    bins = [(int(edge), int(edge) + width - 1) for edge in edges[:-1]]
    longest = int(tokens.argmax())
    return Spread(
        num_samples=len(tokens),
        min=low,
        median=int(np.median(tokens)),
        percentile_95=int(np.percentile(tokens, 95)),
        max=high,
        longest_id=dataset.table[longest].record_id,
        bins=tuple((*ends, int(count)) for ends, count in zip(bins, counts, strict=True)),
    )


def _passes(batches: PackedBatches, args: TrainingArguments) -> Passes:
    """Return what the first epoch reads."""
    units, seen = batches.units, batches.units_of(0)
    return Passes(
        num_questions=int(units.num_conversations[seen].sum()),
        num_passes=len(seen),
        num_tokens=int(units.num_tokens[seen].sum()),
        num_tokens_alone=int(units.num_alone[seen].sum()),
        num_batches=len(batches),
        num_steps=num_optimizer_steps(batches, args),
        filling=batches.filling,
        num_processes=batches.num_processes,
    )


def _features(
    lengths: SampleLengths, dataset: LazySupervisedDataset, model: nn.Module, arguments: Arguments
) -> Features:
    """Return what the store holds, or would hold, of the training clips."""
    settings, table = dataset.settings, dataset.table
    tower: Any = plain_model(model).model.vision_tower
    has_head = np.flatnonzero(table.head_tokens > 0)
    _, firsts = np.unique(table.clips[has_head], return_index=True)
    num_frames = int(lengths.num_frames(lengths.measured)[has_head[firsts]].sum())
    num_views = arguments.data.feature_views if settings.sampler in DRAWING_SAMPLERS else 1
    num_numbers = num_views * num_frames * settings.tokens_per_frame * tower.config.hidden_size
    is_stored = arguments.data.frame_features == "store"
    return Features(
        num_clips=len(firsts),
        num_views=num_views,
        num_bytes=num_numbers * next(tower.parameters()).itemsize,
        folder=str(store_folder(arguments)) if is_stored else None,
    )
