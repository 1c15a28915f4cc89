"""Does a run fit into memory, as it is about to begin?

trainer, its batches, what was predicted  ->  activations kept or computed twice, and on a GPU the
                                              longest batch, tried
"""

from __future__ import annotations

import dataclasses

import torch
from rich.console import Console

from flipbook.data.epochs.packing import PackedBatches
from flipbook.train.arguments import Arguments
from flipbook.train.features import autocast_dtype
from flipbook.train.planning.facts import Plan
from flipbook.train.planning.memory import plan_memory
from flipbook.train.planning.probe import probe_longest, should_probe
from flipbook.train.start import recompute_tower
from flipbook.train.trainer import FlipbookTrainer


def fit_to_memory(
    trainer: FlipbookTrainer,
    batches: PackedBatches,
    plan: Plan | None,
    *,
    arguments: Arguments,
    console: Console,
) -> None:
    """Choose what is kept in memory, and try the longest batch where that tells something.

    Args:
        plan: what was predicted, in the process that reports.

    Raises:
        TrainingError: the longest batch does not fit; see `probe_longest`.
    """
    _choose_checkpointing(trainer, batches, arguments, console=console)
    if not should_probe(trainer.arguments):
        return
    predicted = None
    if plan is not None:
        own, twice = plan.own, trainer.arguments.activation_checkpointing
        predicted = own.recomputed_bytes if twice else own.kept_bytes
    probe_longest(trainer, batches, predicted_bytes=predicted, console=console)


def _choose_checkpointing(
    trainer: FlipbookTrainer, batches: PackedBatches, arguments: Arguments, *, console: Console
) -> None:
    """Let activations be computed twice where they would not fit, unless the user has decided.

    All processes decide alike, by the one that has the least memory.
    """
    args = arguments.training
    is_decided = {"activation_checkpointing", "gradient_checkpointing"} & arguments.explicit
    if is_decided or args.fsdp or args.deepspeed:
        return
    accelerator = trainer.accelerator
    accelerator.wait_for_everyone()  # until the weights of all are in their place
    own = plan_memory(
        accelerator.unwrap_model(trainer.model),
        longest_tokens=batches.longest_tokens,
        autocast_dtype=autocast_dtype(args),
    )
    free = accelerator.gather(torch.tensor([own.available_bytes], device=args.device))
    plan = dataclasses.replace(own, available_bytes=int(free.min()))
    args.activation_checkpointing = plan.is_tight
    if plan.is_tight and "vision_tower" in arguments.model.train_parts:
        recompute_tower(trainer.checkpoint.model)
    console.print(str(plan))
