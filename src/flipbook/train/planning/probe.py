"""Does the longest batch of a run fit, before hours have been spent on the shorter ones?

    trainer, batches -> Probe: memory and time of one forward and backward pass of that batch

Its clips are decoded for real and its gradients thrown away. Nothing that the run will read is
changed: weights, buffers, random numbers, counters and modes are as before, bit for bit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from flipbook.data.epochs.packing import PackedBatches
from flipbook.errors import TrainingError
from flipbook.train.arguments import TrainingArguments
from flipbook.train.planning.memory import MOMENT_BYTES
from flipbook.train.progress import Throughput
from flipbook.train.trainer import FlipbookTrainer

ADAMW = "adamw_torch"  # how the names of the optimizers begin whose moments are float32


@dataclass(frozen=True)
class Probe:
    """What one pass of the longest batch took.

    Attributes:
        num_tokens, num_questions: of the batch.
        peak_bytes: the most memory of the device; None where it is not measured.
        predicted_bytes: by the memory model, where that was asked.
        seconds: of forward and backward pass, decoding left out.
    """

    num_tokens: int
    num_questions: int
    peak_bytes: int | None
    predicted_bytes: int | None
    seconds: float

    def __str__(self) -> str:
        memory = "peak memory is not measured on this device"
        if self.peak_bytes is not None:
            memory = f"{self.peak_bytes / 1e9:.2f} GB of memory at most"
        if self.predicted_bytes is not None:
            memory += f" (predicted: {self.predicted_bytes / 1e9:.2f} GB)"
        return (
            f"Probed the longest batch, {self.num_tokens:,} tokens of {self.num_questions:,} "
            f"questions: forward and backward in {self.seconds:.2f} s, {memory}."
        )


def should_probe(args: TrainingArguments) -> bool:
    """Return whether a run begins with the probe: on a CUDA GPU that holds the model whole."""
    return bool(args.device.type == "cuda" and not args.fsdp and not args.deepspeed)


def probe_longest(
    trainer: FlipbookTrainer,
    batches: PackedBatches,
    *,
    predicted_bytes: int | None = None,
    console: Console | None = None,
) -> Probe:
    """Return what the longest batch of the first epoch takes; print it on `console`.

    The moments of AdamW are not there yet; as much memory is taken in their place.

    Args:
        trainer: with its model on the device, before it trains.
        batches: of the training data, on all processes.

    Raises:
        TrainingError: the memory does not suffice, or the loss is not finite.
        MediaError, RecordError: a sample of the batch could not be made.
    """
    inputs = _longest_batch(trainer, batches)
    num_tokens, num_questions = inputs["input_ids"].numel(), len(inputs["record_ids"])
    try:
        with _unchanged(trainer), _in_place_of_moments(trainer):
            seconds, peak_bytes = _measure(trainer, inputs)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise TrainingError(_too_large(num_tokens, num_questions, trainer.args.device)) from error
    probe = Probe(num_tokens, num_questions, peak_bytes, predicted_bytes, seconds)
    if console is not None:
        console.print(str(probe))
    return probe


def _longest_batch(trainer: FlipbookTrainer, batches: PackedBatches) -> dict[str, Any]:
    """Return the longest batch of the first epoch, decoded."""
    units = batches.units

    def num_tokens(batch: list[int]) -> int:
        return sum(int(units.num_tokens[unit]) for unit in batch if unit >= 0)  # no fillers

    longest = max(batches.batches(0), key=num_tokens)
    dataset: Any = trainer.train_dataset
    collate: Any = trainer.data_collator
    batch: dict[str, Any] = collate(dataset.__getitems__([units[unit] for unit in longest]))
    if "error" in batch:
        raise batch["error"]
    return batch


def _measure(trainer: FlipbookTrainer, inputs: dict[str, Any]) -> tuple[float, int | None]:
    """Return seconds and peak bytes of a forward and backward pass."""
    device = trainer.args.device
    on_gpu = device.type == "cuda"
    model: Any = trainer.model
    model.train()
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    started_s = time.perf_counter()
    placed = trainer._prepare_inputs(inputs)
    trainer.begin_step()
    trainer.compute_loss(model, placed).backward()
    trainer.refuse_step(model)
    if on_gpu:
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started_s
    return seconds, torch.cuda.max_memory_allocated(device) if on_gpu else None


@contextmanager
def _unchanged(trainer: FlipbookTrainer) -> Iterator[None]:
    """Put everything back that a pass changes: modes, buffers, random numbers, counters."""
    model: Any = trainer.model
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    counted, trainer.progress.throughput = trainer.progress.throughput, Throughput()
    switched_on = _compute_twice(trainer, model)
    device = trainer.args.device
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        trainer.progress.throughput = counted
        model.zero_grad(set_to_none=True)
        _put_back(modes, buffers)
        if switched_on:
            model.activation_checkpointing_disable()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _compute_twice(trainer: FlipbookTrainer, model: Any) -> bool:
    """Let activations be computed twice where the run will do so; return whether that is new."""
    args = trainer.args
    if not args.activation_checkpointing or model.is_activation_checkpointing:
        return False
    model.activation_checkpointing_enable(
        activation_checkpointing_kwargs=args.activation_checkpointing_kwargs or None
    )
    return True


def _put_back(modes: list[tuple[nn.Module, bool]], buffers: list[tuple[Tensor, Tensor]]) -> None:
    for module, was_training in modes:
        module.training = was_training
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)


@contextmanager
def _in_place_of_moments(trainer: FlipbookTrainer) -> Iterator[None]:
    model: Any = trainer.model
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    num_bytes = trained * MOMENT_BYTES if trainer.args.optim.startswith(ADAMW) else 0
    taken = torch.empty(num_bytes, dtype=torch.uint8, device=trainer.args.device)
    try:
        yield
    finally:
        del taken


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error is about memory; torch has no type for it on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def _too_large(num_tokens: int, num_questions: int, device: torch.device) -> str:
    return (
        f"The longest batch, {num_tokens:,} tokens of {num_questions:,} questions, does not fit "
        f"into the memory of {device}. No weight was changed. Lower --max_batch_tokens or "
        "--per_device_train_batch_size, --num_video_frames or --frame_size, give "
        "--activation_checkpointing true, or train adapters with --lora_r 16. `flipbook plan` "
        "with the same flags tells what fits."
    )
