"""What must a tuned model tell about how it was made?

    arguments, start model, data, before the first step  ->  Provenance
    the same, after the last step                        ->  Provenance with the steps it really had

It goes with the model wherever that is copied, so it names no folder of this machine.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from flipbook.data.batch import DataModule
from flipbook.data.records import count_records
from flipbook.data.sources import Source
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.folders import plain_name
from flipbook.model.provenance import Provenance
from flipbook.model.tuning import LoraSettings, part_sizes
from flipbook.train.arguments import Arguments, TrainingArguments
from flipbook.train.record import environment, file_sha256


def describe_run(
    arguments: Arguments,
    *,
    checkpoint: Checkpoint,
    model: nn.Module,
    data: DataModule,
    lora: LoraSettings | None,
) -> Provenance:
    """Provenance of a run that is about to begin.

    Args:
        arguments: as asked for.
        checkpoint: what is tuned.
        model: the same with its trainable weights chosen, not yet spread over processes.
        data: whose records are counted.
        lora: the adapters, where the language model learns through some.
    """
    sizes = {size.part: size.num_trainable for size in part_sizes(model) if size.num_trainable}
    validation = data["eval_dataset"]
    sources = {"train": data["train_dataset"].table.sources}
    sources["validation"] = () if validation is None else validation.table.sources
    files = [
        _describe_file(source, split=split) for split, found in sources.items() for source in found
    ]
    check = data["train_dataset"].check
    found = {
        "num_train_records": check.num_records - len(check.rejected),
        "longest_tokens": check.longest_tokens,
    }
    return Provenance(
        base=plain_name(checkpoint.source),
        base_layout=checkpoint.layout,
        trained=sizes,
        lora=None if lora is None else dataclasses.asdict(lora) | {"rank": float(lora.rank)},
        data=files,
        recipe=_recipe(arguments, parts=list(sizes)) | found,
        versions=environment()["versions"],
    )


def after_training(provenance: Provenance, state: Any, args: TrainingArguments) -> Provenance:
    """The same provenance with the steps and epochs that the trainer's `state` counted.

    `saved_step` is the step whose weights are the model: the best one, where that was kept. With
    `--auto_find_batch_size` the batch may be smaller than was asked for.
    """
    recipe = dict(provenance.recipe)
    if "effective_batch" in recipe:
        recipe["effective_batch"] = _batches_per_step(args) * state.train_batch_size
    done = {
        "optimizer_steps": state.global_step,
        "epochs": round(float(state.epoch or 0), 4),
        "saved_step": state.best_global_step or state.global_step,
    }
    return dataclasses.replace(provenance, recipe=done | recipe)


def _describe_file(source: Source, *, split: str) -> dict[str, Any]:
    weight = {} if source.weight == 1 else {"weight": source.weight}
    return {
        "file": Path(source.path).name,
        "sha256": file_sha256(source.path),
        "num_records": count_records(source.path),
        "split": split,
        **weight,
    }


def _batches_per_step(args: TrainingArguments) -> int:
    return int(args.steps_accumulation * args.steps_processes)


def _recipe(arguments: Arguments, *, parts: list[str]) -> dict[str, Any]:
    words, args = arguments.model, arguments.training
    rates = args.part_learning_rates
    num_batches = _batches_per_step(args)
    max_tokens = arguments.data.max_batch_tokens
    batch = {"effective_batch": num_batches * args.per_device_train_batch_size}
    if max_tokens:
        batch = {"effective_batch_tokens": num_batches * max_tokens}
    return {
        **batch,
        "questions_per_pass": arguments.data.questions_per_pass,
        "learning_rates": {
            part: args.learning_rate if rates.get(part) is None else rates[part] for part in parts
        },
        "schedule": str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)),
        "warmup_steps": args.warmup_steps,
        "weight_decay": args.weight_decay,
        "optimizer": str(getattr(args.optim, "value", args.optim)),
        "seed": args.seed,
        "precision": "bf16" if args.bf16 else "fp16" if args.fp16 else "float32",
        "quantize": words.quantize,
        "train_batch_norm": words.train_batch_norm,
        "model_max_length": arguments.data.model_max_length,
    }
