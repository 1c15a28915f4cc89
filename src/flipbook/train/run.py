"""What does one training run do, from its arguments to its folder?

Arguments -> RUN/config.yaml, environment.json, log.jsonl, tensorboard/, checkpoint-N/,
             model/ (plain transformers loads it), adapter/ (with LoRA)
"""

from __future__ import annotations

import dataclasses
import gc
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import nn
from transformers import set_seed
from transformers.trainer_utils import get_last_checkpoint

from flipbook.data.batch import DataModule, make_supervised_data_module
from flipbook.data.dataset import clip_settings
from flipbook.data.packing import PackedBatches
from flipbook.errors import ArgumentError
from flipbook.model.adapters.trained_on import AdapterBase, describe_base
from flipbook.model.checkpoint import Checkpoint, load_as_stored
from flipbook.model.folders import ADAPTER_IN_RUN, MODEL_IN_RUN
from flipbook.train.arguments import Arguments
from flipbook.train.batches import BatchRules
from flipbook.train.features import autocast_dtype, use_store
from flipbook.train.finish import save_run
from flipbook.train.memory import plan_memory
from flipbook.train.origin import after_training, describe_run
from flipbook.train.plan import num_optimizer_steps, print_plan
from flipbook.train.progress import ProgressCallback, Throughput
from flipbook.train.record import write_arguments, write_environment
from flipbook.train.start import (
    fit_to_checkpoint,
    load_start_model,
    lora_of,
    prepare_model,
    recompute_tower,
)
from flipbook.train.trainer import FlipbookTrainer

RESUME_WORDS = ("true", "latest", "auto")


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves.

    Attributes:
        run_folder: all of it.
        model_folder: the tuned model; plain `transformers` loads it.
        is_main_process: whether this process is the one that reports.
    """

    run_folder: Path
    model_folder: Path
    is_main_process: bool


def train(arguments: Arguments, *, console: Console) -> RunResult:
    """Return where the tuned model is, after training it.

    Raises:
        ArgumentError: the arguments contradict each other or the run folder is taken.
        CheckpointError: the model cannot be loaded.
        DataError: the data cannot be trained on.
        TrainingError: the numbers are not sound, or nothing would train.
    """
    args = arguments.training
    run_folder = Path(str(args.output_dir))
    resume_from = _resume_from(run_folder, args.resume_from_checkpoint)
    set_seed(args.seed)
    checkpoint = load_start_model(arguments)
    base = _describe_base(arguments, checkpoint)
    data_args = fit_to_checkpoint(arguments.data, checkpoint)
    checkpoint.settings = clip_settings(data_args)
    data = make_supervised_data_module(checkpoint.tokenizer, data_args)
    lora = lora_of(arguments.model)
    model = prepare_model(arguments, checkpoint, lora=lora)
    rules = BatchRules.of(data_args)
    batches = rules.pack_training(data["train_dataset"], args, batch_size=args.train_batch_size)
    if data["eval_dataset"] is not None:
        rules.check(data["eval_dataset"])
    if num_optimizer_steps(batches, args) < 1:
        raise ArgumentError("This run has no step. Give --num_train_epochs or --max_steps above 0.")
    is_main = args.process_index == 0
    checkpoint.provenance = None  # that of the start model is no longer true of this one
    if is_main:
        checkpoint.provenance = describe_run(
            arguments, checkpoint=checkpoint, model=model, data=data, lora=lora
        )
    shown = console if is_main else None
    if is_main:
        console.print(f"Tuning {arguments.model.model_name_or_path} ({checkpoint.layout})")
        print_plan(console, model=model, data=data, batches=batches, arguments=arguments)
        _make_folder(run_folder)
        write_arguments(run_folder, dataclasses.replace(arguments, data=data_args))
        write_environment(run_folder)
    trainer = _make_trainer(arguments, model, checkpoint, data, run_folder, shown)
    trainer.adapter_base = base
    store = trainer.store = use_store(arguments, data, model=model, checkpoint=checkpoint)
    _choose_checkpointing(arguments, trainer, batches, console=shown)
    try:
        trainer.train(resume_from_checkpoint=resume_from)
    finally:
        trainer.progress.close()
        if store is not None:
            store.close()
    if checkpoint.provenance is not None:
        checkpoint.provenance = after_training(checkpoint.provenance, trainer.state, args)
    model_folder = save_run(trainer, arguments, checkpoint, run_folder=run_folder, base=base)
    _release(trainer)
    return RunResult(run_folder, model_folder, is_main)


def _describe_base(arguments: Arguments, checkpoint: Checkpoint) -> AdapterBase | None:
    """Return what tells the start model from all others, where adapters will depend on it."""
    if arguments.model.lora_r == 0 or arguments.training.process_index != 0:
        return None
    exact = checkpoint
    if arguments.model.quantize != "none":
        exact = load_as_stored(arguments.model.model_name_or_path)
    return describe_base(exact)


def _resume_from(run_folder: Path, asked: str | None) -> str | None:
    """Return the checkpoint to go on from; refuse to mix two runs in one folder."""
    taken = run_folder.is_dir() and (
        (run_folder / MODEL_IN_RUN).exists()
        or (run_folder / ADAPTER_IN_RUN).exists()
        or _newest_checkpoint(run_folder) is not None
    )
    if asked is None or asked.lower() == "false":
        if taken:
            raise ArgumentError(
                f"{run_folder} already holds a run. Continue it with --resume_from_checkpoint "
                "latest, or give another --output_dir."
            )
        return None
    if asked.lower() in RESUME_WORDS:
        return _newest_checkpoint(run_folder) if taken else None
    if not Path(asked).is_dir():
        raise ArgumentError(
            f"--resume_from_checkpoint {asked}: there is no such folder. Use 'latest' for the "
            f"newest one in {run_folder}."
        )
    return asked


def _make_folder(run_folder: Path) -> None:
    try:
        run_folder.mkdir(parents=True, exist_ok=True)
        (run_folder / ".writable").touch()
        (run_folder / ".writable").unlink()
    except OSError as error:
        raise ArgumentError(
            f"--output_dir {run_folder} cannot be written to ({error.strerror}). Give another."
        ) from error


def _newest_checkpoint(run_folder: Path) -> str | None:
    newest: str | None = get_last_checkpoint(str(run_folder))  # type: ignore[no-untyped-call]
    return newest


def _choose_checkpointing(
    arguments: Arguments,
    trainer: FlipbookTrainer,
    batches: PackedBatches,
    *,
    console: Console | None,
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
    if console is not None:
        console.print(str(plan))


def _make_trainer(
    arguments: Arguments,
    model: nn.Module,
    checkpoint: Checkpoint,
    data: DataModule,
    run_folder: Path,
    console: Console | None,
) -> FlipbookTrainer:
    args = arguments.training
    show_bar = not args.disable_tqdm
    args.disable_tqdm = True  # its bar would stand beside ours
    throughput = Throughput()
    progress = ProgressCallback(
        throughput, log_file=run_folder / "log.jsonl", console=console, show_bar=show_bar
    )
    return FlipbookTrainer(
        model,
        checkpoint=checkpoint,
        data=data,
        args=args,
        progress=progress,
        rules=BatchRules.of(arguments.data),
        train_batch_norm=arguments.model.train_batch_norm,
    )


def _release(trainer: FlipbookTrainer) -> None:
    """Give back the memory of model and optimizer, and leave the process group."""
    trainer.accelerator.free_memory()
    trainer.model = trainer.model_wrapped = trainer.optimizer = None  # type: ignore[assignment]
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trainer.accelerator.end_training()
