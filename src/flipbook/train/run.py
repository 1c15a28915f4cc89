"""What does one training run do, from its arguments to its folder?

Arguments -> RUN/config.yaml, environment.json, data.json, log.jsonl, followed.jsonl, tensorboard/,
             checkpoint-N/, model/ (plain transformers loads it), adapter/ (with LoRA)
"""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn
from transformers import set_seed

from flipbook.data.batch import DataModule, make_supervised_data_module
from flipbook.data.dataset import clip_settings
from flipbook.data.epochs.packing import PackedBatches
from flipbook.data.sources import Source
from flipbook.errors import ArgumentError
from flipbook.model.adapters.trained_on import AdapterBase, describe_base
from flipbook.model.checkpoint import Checkpoint, load_as_stored
from flipbook.model.fastvlm import tower_is_at_rest
from flipbook.train.arguments import Arguments, TrainingArguments
from flipbook.train.batches import BatchRules
from flipbook.train.data_summary import write_data_summary
from flipbook.train.examining.answers import check_claim
from flipbook.train.examining.stopping import StoppingCallback
from flipbook.train.examining.watch import examination_of, tell_stop, watch
from flipbook.train.features import use_store
from flipbook.train.finish import save_run
from flipbook.train.intake.taking import take_in
from flipbook.train.ledger.keeping import Ledger, keep_ledger
from flipbook.train.origin import after_training, describe_run
from flipbook.train.planning.facts import Plan
from flipbook.train.planning.fitting import fit_to_memory
from flipbook.train.planning.plan import num_optimizer_steps, print_plan
from flipbook.train.progress import ProgressCallback, Throughput
from flipbook.train.proving import prove
from flipbook.train.ranks.failing import in_company
from flipbook.train.record import write_arguments, write_environment
from flipbook.train.resume.going_on import GoingOn
from flipbook.train.run_folder import Begun, held
from flipbook.train.signals import StopRequest, stoppable
from flipbook.train.start import (
    fit_to_checkpoint,
    load_start_model,
    lora_of,
    prepare_model,
)
from flipbook.train.trainer import FlipbookTrainer


@dataclass(frozen=True)
class RunResult:
    """What a finished run leaves.

    Attributes:
        run_folder: all of it.
        model_folder: the tuned model; plain `transformers` loads it.
        is_main_process: whether this process is the one that reports.
        claimed: the data sets on which the model is to be scored.
        stop: notes that a signal asks to stop, as long as the folder is held.
    """

    run_folder: Path
    model_folder: Path
    is_main_process: bool
    claimed: tuple[Source, ...] = ()
    stop: StopRequest = field(default_factory=StopRequest)

    @property
    def asked_to_stop(self) -> str | None:
        """By what, after the last step; None for a run that was left alone."""
        return self.stop.name


@in_company
def train(
    arguments: Arguments, *, console: Console, then: Callable[[RunResult], None] | None = None
) -> RunResult:
    """Return where the tuned model is, after training it.

    Args:
        then: what else is done with the run while its folder is still held for it alone. Signals
            are noted until the end, but for what is done within `stop.at_once()`.

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
    run_folder, stop = Path(str(args.output_dir)), StopRequest(is_telling=args.process_index == 0)
    with (
        closing(stop),
        held(run_folder, args.resume_from_checkpoint, console=shown) as begun,
    ):
        result = _train(arguments, begun, stop, console=shown)
        if then is not None:
            then(result)
        return result


def _train(arguments: Arguments, begun: Begun, stop: StopRequest, *, console: Console) -> RunResult:
    args, shown = arguments.training, console
    run_folder = Path(str(args.output_dir))
    is_main = args.process_index == 0
    is_resumed = begun.goes_on_from is not None
    intake = take_in(arguments, run_folder=run_folder, is_resumed=is_resumed, console=shown)
    check_claim(intake.claimed, arguments)
    going_on = GoingOn.begin(begun.goes_on_from, arguments)
    set_seed(args.seed)
    checkpoint = load_start_model(arguments)
    base = _describe_base(arguments, checkpoint)
    data_args = fit_to_checkpoint(arguments.data, checkpoint)
    checkpoint.settings = clip_settings(data_args)
    data = make_supervised_data_module(
        checkpoint.tokenizer, data_args, train=intake.train, validation=intake.validation
    )
    going_on.note_start(checkpoint, base)
    lora = lora_of(arguments.model)
    model = prepare_model(arguments, checkpoint, lora=lora)
    rules = BatchRules.of(data_args)
    batches = rules.pack_training(data["train_dataset"], args, batch_size=args.train_batch_size)
    _check(data, rules, batches, model=model, args=args)
    examination = examination_of(arguments, data["eval_dataset"])
    checkpoint.provenance = None  # that of the start model is no longer true of this one
    fitted = dataclasses.replace(arguments, data=data_args)
    if is_main:
        checkpoint.provenance = describe_run(
            arguments, checkpoint=checkpoint, model=model, data=data, lora=lora
        )
    going_on.settle(fitted, checkpoint, model=model, data=data, batches=batches, console=shown)
    plan: Plan | None = None
    if is_main:
        console.print(f"Tuning {arguments.model.model_name_or_path} ({checkpoint.layout})")
        plan = print_plan(console, model=model, data=data, batches=batches, arguments=arguments)
        _write_facts(run_folder, fitted, data, checkpoint)
    trainer = _make_trainer(arguments, model, checkpoint, data, rules, run_folder, shown)
    trainer.run_id, trainer.verified = begun.run_id, begun.goes_on_from
    going_on.attach(trainer)
    ledger = keep_ledger(
        trainer, arguments, batches, goes_on_from=begun.goes_on_from, console=shown
    )
    trainer.adapter_base = base
    trainer.store = use_store(arguments, data, model=model, checkpoint=checkpoint)
    stopping = watch(trainer, examination, run_folder=run_folder)
    if is_main:
        prove(data, data_args, console=shown)
    fit_to_memory(trainer, batches, plan, arguments=arguments, console=shown)
    with stoppable(trainer, stop):
        _learn(trainer, begun.goes_on_from, ledger)
        _tell_end(trainer, stopping, console=shown)
        model_folder = save_run(trainer, arguments, checkpoint, run_folder=run_folder, base=base)
        _release(trainer)
    return RunResult(run_folder, model_folder, is_main, intake.claimed, stop)


def _write_facts(
    run_folder: Path, arguments: Arguments, data: DataModule, checkpoint: Checkpoint
) -> None:
    """Write down what is known before the first step of a run."""
    write_arguments(run_folder, arguments)
    write_environment(run_folder)
    files = [] if checkpoint.provenance is None else checkpoint.provenance.data
    write_data_summary(run_folder, data, files=files)


def _learn(trainer: FlipbookTrainer, goes_on_from: str | None, ledger: Ledger) -> None:
    """Train, and leave bar, store and ledger as they should be however it ends."""
    try:
        with ledger.kept():
            trainer.train(resume_from_checkpoint=goes_on_from)
    finally:
        trainer.progress.close()
        if trainer.store is not None:
            trainer.store.close()


def _tell_end(
    trainer: FlipbookTrainer, stopping: StoppingCallback | None, *, console: Console
) -> None:
    """Let the provenance of the tuned model say how training went, and the console why it ended."""
    found, checkpoint = trainer.checkpoint.provenance, trainer.checkpoint
    if found is not None:
        found = after_training(found, trainer.state, trainer.arguments)
    checkpoint.provenance = tell_stop(stopping, trainer, found, console=console)


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


def _describe_base(arguments: Arguments, checkpoint: Checkpoint) -> AdapterBase | None:
    """Return what tells the start model from all others, where adapters will depend on it."""
    if arguments.model.lora_r == 0 or arguments.training.process_index != 0:
        return None
    exact = checkpoint
    if arguments.model.quantize != "none":
        exact = load_as_stored(arguments.model.model_name_or_path)
    return describe_base(exact)


def _make_trainer(
    arguments: Arguments,
    model: nn.Module,
    checkpoint: Checkpoint,
    data: DataModule,
    rules: BatchRules,
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
        rules=rules,
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
