"""How does a model learn from batches?

    model, data module, TrainingArguments -> a trained model and its log

The loop, the optimizer, mixed precision and the processes are those of `transformers.Trainer`.
What is ours: the loss of a Batch, what stays in evaluation mode, rates by part and answers in words
at each evaluation. See `sound_steps.py` for when a step is refused, `signals.py` for how a run is
stopped, `saves.py` for what a checkpoint is, and `going_on.py` for how a run goes on from one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from transformers import PrinterCallback
from transformers.integrations.integration_utils import TensorBoardCallback

from flipbook.data.batch import DataModule
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.epochs.packing import PackedBatches
from flipbook.data.features.store import FeatureStore
from flipbook.model.checkpoint import Checkpoint
from flipbook.model.fastvlm import (
    encode_visuals,
    join_features,
    touch_vision,
    tower_is_at_rest,
)
from flipbook.model.loss import supervised_loss
from flipbook.model.pooling import pool_visuals
from flipbook.model.tuning import keep_at_rest, modules_at_rest, parameter_groups
from flipbook.score.prediction import Prediction
from flipbook.train.arguments import TrainingArguments
from flipbook.train.batches import BatchRules, make_loader, with_one_label
from flipbook.train.building import built_for, check_schedule
from flipbook.train.checkpoints.going_on import ExactResume
from flipbook.train.examining.answers import Examination, metrics_of
from flipbook.train.examining.followed import FollowedAnswers
from flipbook.train.ledger.counts import TrainedCounts
from flipbook.train.progress import ProgressCallback
from flipbook.train.ranks.company import InCompany
from flipbook.train.signals import StopsBetweenSteps
from flipbook.train.sound.faults import StepNotes
from flipbook.train.sound.steps import SoundSteps
from flipbook.train.sound.still import StillCheck

VISION_PREFIXES = ("vision_tower", "multi_modal_projector")


class FlipbookTrainer(InCompany, SoundSteps, StopsBetweenSteps, ExactResume):
    """A `transformers.Trainer` for Batches of flipbooks.

    Args:
        model: with its trainable weights chosen, perhaps wrapped by PEFT.
        checkpoint: where the model comes from: its tokenizer and the statistics of its pictures.
        data: training data, validation data, collator.
        args: see `TrainingArguments`.
        progress: shows the run, and counts what it is trained on.
        rules: what goes into one pass and into one batch.
        store: where the features of a frozen tower are kept, if they are.
        train_batch_norm: let the BatchNorm statistics of a trained tower move.

    Attributes:
        counts: how often it has trained on each conversation.

    Raises:
        ArgumentError: the library does not take what the flags say of optimizer or schedule.
        TrainingError: a loss or a gradient is not finite; the weights are as before that step.
        MediaError, RecordError: a sample could not be made; it is not replaced.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        checkpoint: Checkpoint,
        data: DataModule,
        args: TrainingArguments,
        progress: ProgressCallback,
        rules: BatchRules | None = None,
        store: FeatureStore | None = None,
        train_batch_norm: bool = False,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            processing_class=checkpoint.tokenizer,
            callbacks=[progress],
            train_dataset=data["train_dataset"],
            eval_dataset=data["eval_dataset"],
            data_collator=data["data_collator"],  # type: ignore[arg-type]  # a TypedDict
        )
        self.arguments = args
        self.checkpoint = checkpoint
        self.progress = progress
        self.rules = rules or BatchRules()
        self.beside = []
        self.counts = TrainedCounts(len(data["train_dataset"]))
        self.store = store
        self.examination: Examination | None = None
        self.followed: FollowedAnswers | None = None
        self.remove_callback(PrinterCallback)  # the progress callback shows the log
        if self.pop_callback(TensorBoardCallback) is not None and self.is_world_process_zero():
            writer = SummaryWriter(str(Path(str(args.output_dir)) / "tensorboard"))
            self.add_callback(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]
        self.loss_is_scaled_for_ga = True  # supervised_loss divides by the tokens of the whole step
        self.model_accepts_loss_kwargs = True
        self._at_rest = modules_at_rest(model, train_batch_norm=train_batch_norm)
        self.begin_step()
        table = data["train_dataset"].table
        sees_frames = bool(table.num_videos.any() or table.num_images.any())
        self.add_callback(StillCheck(self.accelerator, self._at_rest, sees_frames=sees_frames))
        self._validation_loader: DataLoader[Any] | None = None
        self._validation = torch.zeros(2, dtype=torch.float64)  # summed loss, tokens
        self._validation_notes = StepNotes()
        self._settings = data["train_dataset"].settings
        self._vision_trains = any(
            p.requires_grad and any(prefix in name for prefix in VISION_PREFIXES)
            for name, p in model.named_parameters()
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the loss over the supervised tokens of a Batch.

        Whether it is finite is looked at before the optimizer, see `SoundSteps`.
        """
        if model.training:  # the library has just put the whole model, tower included, in it
            keep_at_rest(self._at_rest)
        # A filler has none. Another batch without is noted, and its step refused in all processes.
        is_empty = inputs["is_filler"] or (model.training and inputs["num_targets"] == 0)
        with self.accelerator.autocast():
            result = supervised_loss(
                model,
                with_one_label(inputs) if is_empty else inputs,
                features=self._features(model, inputs),
                image_mean=self.checkpoint.image_mean,
                image_std=self.checkpoint.image_std,
                num_items=None if is_empty else num_items_in_batch,  # which may be 0
                label_smoothing=self.args.label_smoothing_factor if model.training else 0.0,
            )
            loss = result.loss * 0.0 if is_empty else result.loss
            if self._vision_trains and model.training and not inputs["visuals"]:
                loss = loss + touch_vision(model, frame_size=self._settings.frame_size)
        if model.training:
            self.note_batch(loss, inputs)
        if model.training and not inputs["is_filler"]:
            self.counts.note(inputs["conversations"])
            self.progress.throughput.add(
                num_samples=len(inputs["record_ids"]) * self.args.world_size,
                num_tokens=inputs["input_ids"].numel() * self.args.world_size,
                num_repeated_frames=inputs["num_repeated"] * self.args.world_size,
            )
        shares_tokens = self.args.average_tokens_across_devices
        if model.training and num_items_in_batch is not None and shares_tokens:
            # The loss was divided by the tokens of all processes, and their gradients will be
            # averaged, which divides once more.
            loss = loss * self.accelerator.num_processes
        return (loss, result) if return_outputs else loss

    def _features(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor | None:
        """Return what a frozen tower makes of a batch; None where it must learn."""
        if not inputs["visuals"] or not tower_is_at_rest(model):
            return None
        parts = encode_visuals(
            model,
            inputs,
            image_mean=self.checkpoint.image_mean,
            image_std=self.checkpoint.image_std,
        )
        if self.store is not None:
            self.store.write_visuals(inputs["visuals"], parts)
        return join_features(pool_visuals(inputs["visuals"], parts))

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Return the loss of a validation batch; answers are generated apart."""
        del prediction_loss_only, ignore_keys
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs).detach()
        num_targets = torch.tensor(inputs["num_targets"]).to(self._validation)
        self._validation += torch.stack([loss.to(self._validation) * num_targets, num_targets])
        self._validation_notes.add(loss, inputs)
        return loss, None, None

    def add_up_counts(self) -> None:
        """Add up what all processes have trained on; each of them must call this."""

        def add_up(counts: Tensor) -> Tensor:
            found: Tensor = self.accelerator.reduce(counts.to(self.args.device), reduction="sum")
            return found

        self.counts.meet(add_up, step=self.state.global_step)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self.add_up_counts()
        super()._save_checkpoint(model, trial)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Return the optimizer, with one learning rate for each part."""
        target: Any = self.model if model is None else model
        if self.optimizer is None:
            groups = parameter_groups(
                target,
                learning_rate=self.args.learning_rate,
                part_learning_rates=self.arguments.part_learning_rates,
                weight_decay=self.args.weight_decay,
                decay_names=self.get_decay_parameter_names(target),
            )
            with built_for(self.arguments, "optim", "optim_args", "optim_target_modules"):
                kind, settings = self.optimizer_cls_and_kwargs or self.get_optimizer_cls_and_kwargs(
                    self.args, target
                )
                self.optimizer = kind(groups, **settings)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return the schedule of the learning rate, which has one for each step."""
        with built_for(self.arguments, "lr_scheduler_type", "lr_scheduler_kwargs"):
            schedule = super().create_scheduler(num_training_steps, optimizer)
            check_schedule(schedule, num_training_steps)
        return schedule

    def evaluation_loop(self, dataloader: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the validation loss, and how good the answers in words are."""
        device = self.args.device
        dtype = torch.float32 if device.type == "mps" else torch.float64  # which that cannot hold
        self._validation = torch.zeros(2, dtype=dtype, device=device)
        self._validation_notes = StepNotes()
        output = super().evaluation_loop(dataloader, *args, **kwargs)
        prefix = kwargs.get("metric_key_prefix", "eval")
        # Over all tokens alike, however they were divided into batches.
        summed, num_targets = self.accelerator.reduce(self._validation, reduction="sum")
        found = {"loss": float(summed / num_targets)}
        self.refuse_validation(found["loss"], self._validation_notes)
        if self.examination is not None:
            predictions = self.examine(self.examination)
            found |= metrics_of(predictions)
            if self.followed is not None:
                self.followed.note(predictions, self.state)
        (output.metrics or {}).update({f"{prefix}_{name}": v for name, v in found.items()})
        return output

    def examine(self, examination: Examination) -> list[Prediction]:
        """Return the model's answers as it is now, judged; the same in every process.

        Raises:
            MediaError, RecordError: a question cannot be asked.
        """
        is_spread = self.is_fsdp_enabled or self.is_deepspeed_enabled  # all must call it alike
        with self.accelerator.autocast():
            return examination.sit(
                self.checkpoint,
                model=self.accelerator.unwrap_model(self.model),
                store=self.store,
                divided=not is_spread,
            )

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of the training batches of this process."""
        dataset: Any = self.train_dataset
        size = self._train_batch_size
        return self._loader(
            dataset, self.rules.pack_training(dataset, self.arguments, batch_size=size)
        )

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """Return the loader of the validation batches of this process; its workers are kept."""
        if self._validation_loader is None:
            dataset: Any = self.eval_dataset if eval_dataset is None else eval_dataset
            size, width = self.args.per_device_eval_batch_size, self.args.world_size
            batches = self.rules.pack(dataset, batch_size=size, num_processes=width, seed=None)
            self._validation_loader = self._loader(dataset, batches)
        return self._validation_loader

    def _loader(self, dataset: LazySupervisedDataset, batches: PackedBatches) -> DataLoader[Any]:
        collator: Any = self.data_collator
        loader = make_loader(dataset, batches, args=self.arguments, collator=collator)
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared
