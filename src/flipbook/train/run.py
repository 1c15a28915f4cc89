"""What does one training run do, from its arguments to its folder?

Arguments -> RUN/config.yaml, environment.json, data.json, log.jsonl, followed.jsonl, tensorboard/,
             checkpoint-N/, model/ (plain transformers loads it), adapter/ (with LoRA)
"""

from __future__ import annotations

import dataclasses
import gc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn
from transformers import set_seed

from flipbook.data.batch import DataModule, make_supervised_data_module
from flipbook.data.dataset import clip_settings
from flipbook.data.packing import PackedBatches
from flipbook.data.proofs.prove import prove_sample_of
from flipbook.data.sources import Source
from flipbook.errors import ArgumentError
from flipbook.model.adapters.trained_on import AdapterBase, describe_base
from flipbook.model.checkpoint import Checkpoint, load_as_stored
from flipbook.model.fastvlm import tower_is_at_rest
from flipbook.train.arguments import Arguments, DataArguments, TrainingArguments
from flipbook.train.batches import BatchRules
from flipbook.train.data_summary import write_data_summary
from flipbook.train.features import autocast_dtype, use_store
from flipbook.train.finish import save_run
from flipbook.train.intake import take_in
from flipbook.train.memory import plan_memory
from flipbook.train.origin import after_training, describe_run
from flipbook.train.plan import num_optimizer_steps, print_plan
from flipbook.train.plan_facts import Plan
from flipbook.train.probe import probe_longest, should_probe
from flipbook.train.progress import ProgressCallback, Throughput
from flipbook.train.ranks import in_company
from flipbook.train.record import write_arguments, write_environment
from flipbook.train.run_folder import Begun, held
from flipbook.train.signals import stoppable
from flipbook.train.start import (
    fit_to_checkpoint,
    load_start_model,
    lora_of,
    prepare_model,
    recompute_tower,
)
from flipbook.train.trainer import FlipbookTrainer
from flipbook.train.watch import examination_of, tell_stop, watch


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves.

    Attributes:
        run_folder: all of it.
        model_folder: the tuned model; plain `transformers` loads it.
        is_main_process: whether this process is the one that reports.
        claimed: the data sets on which the model is to be scored.
        asked_to_stop: by what, after the last step; None for a run that was left alone.
    """

    run_folder: Path
    model_folder: Path
    is_main_process: bool
    claimed: tuple[Source, ...] = ()
    asked_to_stop: str | None = None


@in_company
def train(arguments: Arguments, *, console: Console) -> RunResult:
    """Return where the tuned model is, after training it.

    Raises:
        ArgumentError: the arguments contradict each other or the run folder is taken.
        CheckpointError: the model cannot be loaded.
        DataError: the data cannot be trained on.
        TrainingError: the numbers are not sound, or nothing would train.
        WorkerError: a worker or another process crashed, hung or left.
        StoppedError: it was asked to stop; all is saved.
        StorageError: the run folder cannot be written to, or a checkpoint not be read back.
    """
    args = arguments.training
    shown = console if args.process_index == 0 else Console(quiet=True)
    with held(Path(str(args.output_dir)), args.resume_from_checkpoint, console=shown) as begun:
        return _train(arguments, begun, console=shown)


def _train(arguments: Arguments, begun: Begun, *, console: Console) -> RunResult:
    args, shown = arguments.training, console
    run_folder = Path(str(args.output_dir))
    is_main = args.process_index == 0
    is_resumed = begun.goes_on_from is not None
    intake = take_in(arguments, run_folder=run_folder, is_resumed=is_resumed, console=shown)
    set_seed(args.seed)
    checkpoint = load_start_model(arguments)
    base = _describe_base(arguments, checkpoint)
    data_args = fit_to_checkpoint(arguments.data, checkpoint)
    checkpoint.settings = clip_settings(data_args)
    data = make_supervised_data_module(
        checkpoint.tokenizer, data_args, train=intake.train, validation=intake.validation
    )
    lora = lora_of(arguments.model)
    model = prepare_model(arguments, checkpoint, lora=lora)
    rules = BatchRules.of(data_args)
    batches = rules.pack_training(data["train_dataset"], args, batch_size=args.train_batch_size)
    _check(data, rules, batches, model=model, args=args)
    examination = examination_of(arguments, data["eval_dataset"])
    checkpoint.provenance = None  # that of the start model is no longer true of this one
    plan: Plan | None = None
    if is_main:
        checkpoint.provenance = describe_run(
            arguments, checkpoint=checkpoint, model=model, data=data, lora=lora
        )
        console.print(f"Tuning {arguments.model.model_name_or_path} ({checkpoint.layout})")
        plan = print_plan(console, model=model, data=data, batches=batches, arguments=arguments)
        _write_facts(run_folder, dataclasses.replace(arguments, data=data_args), data, checkpoint)
    trainer = _make_trainer(arguments, model, checkpoint, data, run_folder, shown)
    trainer.run_id, trainer.verified = begun.run_id, begun.goes_on_from
    trainer.adapter_base = base
    trainer.store = use_store(arguments, data, model=model, checkpoint=checkpoint)
    stopping = watch(trainer, examination, run_folder=run_folder)
    if is_main:
        _tell_shared(data, console=shown)
        _prove(data, data_args, console=shown)
    _choose_checkpointing(arguments, trainer, batches, console=shown)
    if should_probe(args):
        predicted = None if plan is None else _predicted(plan, args)
        probe_longest(trainer, batches, predicted_bytes=predicted, console=shown)
    with stoppable(trainer) as stop:
        _learn(trainer, begun.goes_on_from)
        if checkpoint.provenance is not None:
            checkpoint.provenance = after_training(checkpoint.provenance, trainer.state, args)
        checkpoint.provenance = tell_stop(stopping, trainer, checkpoint.provenance, console=shown)
        model_folder = save_run(trainer, arguments, checkpoint, run_folder=run_folder, base=base)
    _release(trainer)
    return RunResult(run_folder, model_folder, is_main, intake.claimed, stop.name)


def _write_facts(
    run_folder: Path, arguments: Arguments, data: DataModule, checkpoint: Checkpoint
) -> None:
    """Write down what is known before the first step of a run."""
    write_arguments(run_folder, arguments)
    write_environment(run_folder)
    files = [] if checkpoint.provenance is None else checkpoint.provenance.data
    write_data_summary(run_folder, data, files=files)


def _learn(trainer: FlipbookTrainer, goes_on_from: str | None) -> None:
    """Train, and leave bar and store as they should be however it ends."""
    try:
        trainer.train(resume_from_checkpoint=goes_on_from)
    finally:
        trainer.progress.close()
        if trainer.store is not None:
            trainer.store.close()


def _predicted(plan: Plan, args: TrainingArguments) -> int:
    """Return how much memory the model of it says that the run will take, in bytes."""
    return plan.own.recomputed_bytes if args.activation_checkpointing else plan.own.kept_bytes


def _check(
    data: DataModule,
    rules: BatchRules,
    batches: PackedBatches,
    *,
    model: nn.Module,
    args: TrainingArguments,
) -> None:
    """Check what can be known before the first step.

    Raises:
        ArgumentError: a validation record does not fit into a batch; there is no step; or clips
            are seen at several sides by a tower that is not at rest.
    """
    if data["eval_dataset"] is not None:
        rules.check(data["eval_dataset"])
    if num_optimizer_steps(batches, args) < 1:
        raise ArgumentError("This run has no step. Give --num_train_epochs or --max_steps above 0.")
    sides = sorted({int(side) for side in np.unique(data["train_dataset"].table.frame_size)} - {0})
    if len(sides) > 1 and not tower_is_at_rest(model):
        raise ArgumentError(
            f"The records show frames of {' and '.join(map(str, sides))} px, and a vision tower "
            "that trains, or is divided by --fsdp, takes one side only. Give all records one "
            "frame_size, or leave vision_tower out of --train_parts."
        )


def _tell_shared(data: DataModule, *, console: Console) -> None:
    """Tell of clips that validation shares with training, as far as their paths tell."""
    if data["eval_dataset"] is None:
        return
    shown = (data["train_dataset"].table.shown, data["eval_dataset"].table.shown)
    number = len(np.intersect1d(*shown, assume_unique=True))
    if number:
        console.print(
            f"Warning: validation shows {number:,} clips or pictures that training shows too, so "
            "its scores say less than they seem to. `flipbook data check` with both files sorts "
            "them out."
        )


def _prove(data: DataModule, data_args: DataArguments, *, console: Console) -> None:
    """Prove some records right, and refuse the run where one is not.

    Raises:
        LabelError: what would be learned of a record is not what it says.
        MediaError: a clip of it cannot be read.
    """
    if data_args.proof_records == 0:
        return
    for dataset in (data["train_dataset"], data["eval_dataset"]):
        if dataset is not None:
            number = prove_sample_of(
                dataset, num_records=data_args.proof_records, seed=data_args.data_seed
            )
            what = "training" if dataset.training else "validation"
            console.print(
                f"Proven on {number} {what} conversations: prompts are those of inference, answers "
                "and their end tokens alone are learned, and each frame has its places."
            )


def _describe_base(arguments: Arguments, checkpoint: Checkpoint) -> AdapterBase | None:
    """Return what tells the start model from all others, where adapters will depend on it."""
    if arguments.model.lora_r == 0 or arguments.training.process_index != 0:
        return None
    exact = checkpoint
    if arguments.model.quantize != "none":
        exact = load_as_stored(arguments.model.model_name_or_path)
    return describe_base(exact)


def _choose_checkpointing(
    arguments: Arguments,
    trainer: FlipbookTrainer,
    batches: PackedBatches,
    *,
    console: Console,
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
