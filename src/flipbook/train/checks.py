"""Which settings cannot be meant?

arguments -> nothing, or an ArgumentError that says what to change
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers.training_args import ParallelMode

from flipbook.data.sources import MIXTURE_ENDINGS
from flipbook.errors import ArgumentError
from flipbook.model.attention import choose_attention
from flipbook.video.layouts import DEFAULT_SLOW_FRAMES, LAYOUTS, SLOW_FAST
from flipbook.video.sampling import DEFAULT_CLIP_SHARE
from flipbook.video.settings import DEFAULT_NUM_CLIPS

if TYPE_CHECKING:
    from flipbook.train.arguments import DataArguments, ModelArguments, TrainingArguments


def check_together(
    model: ModelArguments,
    data: DataArguments,
    training: TrainingArguments,
    *,
    explicit: frozenset[str] = frozenset(),
) -> None:
    """Check that no setting contradicts another.

    Args:
        explicit: the names that the user set.

    Raises:
        ArgumentError: two exclude each other.
    """
    _check_stretches(data)
    _check_layout(model, data, training)
    _check_accelerator(training)
    _check_rates(model, training)
    _check_best(training, explicit)
    _check_followed(training)
    choose_attention(model.attn_implementation, device_type=training.device.type)
    if data.max_batch_tokens and training.auto_find_batch_size:
        raise ArgumentError(
            "--auto_find_batch_size changes the number of questions of a batch, and "
            "--max_batch_tokens counts tokens instead. Leave one of them out."
        )
    if data.frame_features == "store":
        _check_store(model, training)
        _check_augmented(data)
    elif data.feature_store is not None and "frame_features" not in explicit:
        raise ArgumentError(
            f"--feature_store {data.feature_store} is used with --frame_features store only. Add "
            "that, or leave the folder out."
        )
    if model.quantize != "none" and model.lora_r == 0:
        raise ArgumentError(
            f"--quantize {model.quantize} freezes the language model. "
            "Add --lora_r (for example 16), or remove --quantize."
        )
    is_mixed = model.frozen_dtype == "bfloat16" or model.quantize != "none"
    if is_mixed and not training.bf16:
        raise ArgumentError(
            "--frozen_dtype bfloat16 and --quantize put bfloat16 weights beside float32 ones, "
            "which meet only under --bf16 true. Add it, or leave them out."
        )
    if training.fsdp and training.parallel_mode != ParallelMode.DISTRIBUTED:
        raise ArgumentError(
            "--fsdp divides a model among processes, and this is the only one. Start several with "
            "torchrun, or leave it out."
        )


def _check_layout(
    model: ModelArguments,
    data: DataArguments,
    training: TrainingArguments,
) -> None:
    """Check that the layout of frames can be made of what the vision tower gives."""
    name = data.frame_layout
    if data.slow_frames != DEFAULT_SLOW_FRAMES and name != SLOW_FAST:
        raise ArgumentError(
            f"--slow_frames {data.slow_frames} is used with --frame_layout {SLOW_FAST} only. Add "
            "that, or leave it out."
        )
    if name not in LAYOUTS or LAYOUTS[name].sees_frames_alone:
        return  # an unknown name is told where clip settings are made
    reason = "--fsdp divides it" if training.fsdp else None
    if "vision_tower" in model.train_parts:
        reason = "--train_parts names vision_tower, which learns inside the model"
    if reason is not None:
        known = ", ".join(word for word, one in LAYOUTS.items() if one.sees_frames_alone)
        raise ArgumentError(
            f"--frame_layout {name} is made of what a whole, frozen vision tower gives, and "
            f"{reason}. Leave one of them out, or take one of {known}."
        )


def refuse_unsupported(args: TrainingArguments) -> None:
    """Check that no setting of the library is used that would do nothing or do harm here.

    Raises:
        ArgumentError: one is.
    """
    reasons = {
        "use_liger_kernel": "it does nothing for a FastVLM",
        "logging_nan_inf_filter": "it would log a loss that is not a number as 0",
        "remove_unused_columns": "samples are not columns; it would empty every batch",
        "dataloader_drop_last": "every record is trained on in every epoch",
        "ignore_data_skip": "a run that goes on would see records a second time",
    }
    if args.train_sampling_strategy != "random":
        reasons["train_sampling_strategy"] = "batches are packed by length, without padding"
    optim = str(getattr(args.optim, "value", args.optim))
    if optim.endswith(("lomo", "layerwise")):
        raise ArgumentError(
            f"--optim {optim} is not supported: it changes weights inside the backward pass, "
            "before it is known whether loss and gradients are finite. Take another."
        )
    for name, reason in reasons.items():
        if getattr(args, name):
            raise ArgumentError(f"--{name} is not supported: {reason}. Leave it off.")


def _check_stretches(data: DataArguments) -> None:
    """Check that what is said of stretches is used; a mixture may name `sparse` for its own."""
    is_sparse = data.frame_sampler == "sparse"
    is_mixture = any(path.endswith(MIXTURE_ENDINGS) for path in data.data_path)
    dead = {
        "num_clips": not is_sparse and data.num_clips != DEFAULT_NUM_CLIPS,
        "clip_share": not (is_sparse or is_mixture) and data.clip_share != DEFAULT_CLIP_SHARE,
    }
    for name, is_dead in dead.items():
        if is_dead:
            raise ArgumentError(
                f"--{name} {getattr(data, name)} is used with --frame_sampler sparse only. Add "
                "that, or leave it out."
            )


def _check_accelerator(training: TrainingArguments) -> None:
    for name in ("split_batches", "dispatch_batches"):
        if getattr(training.accelerator_config, name, False):
            raise ArgumentError(
                f"--accelerator_config with {name} is not supported: each process gets batches "
                "that were packed for it. Leave it out."
            )


def _check_rates(model: ModelArguments, training: TrainingArguments) -> None:
    """Check that each part that trains can move."""
    for part in model.train_parts:
        own = training.part_learning_rates.get(part)
        flag = "learning_rate" if own is None else f"{part}_learning_rate"
        rate = training.learning_rate if own is None else own
        if rate == 0:
            raise ArgumentError(
                f"--{flag} {rate:g}: {part} would learn nothing. Give a rate above 0, or leave the "
                "part out of --train_parts."
            )


def _check_followed(training: TrainingArguments) -> None:
    default = type(training).__dataclass_fields__["follow_num_answers"].default
    asked = training.follow_num_answers not in (0, default)  # a run's own file names them all
    if asked and training.eval_num_answers == 0:
        raise ArgumentError(
            f"--follow_num_answers {training.follow_num_answers} follows some of the questions "
            "that are answered at each evaluation, and --eval_num_answers is 0. Raise that, or "
            "leave it out."
        )


def _check_best(training: TrainingArguments, explicit: frozenset[str]) -> None:
    """Check how the best checkpoint is chosen, and when a run stops early."""
    patience, threshold = training.early_stopping_patience, training.early_stopping_threshold
    if patience is None and threshold > 0:
        raise ArgumentError(
            f"--early_stopping_threshold {threshold} says what a gain is, for "
            "--early_stopping_patience. Give that too, or leave it out."
        )
    asked = ["metric_for_best_model"] if "metric_for_best_model" in explicit else []
    asked += [] if patience is None else ["early_stopping_patience"]
    for name in asked:
        _check_evaluations(name, training)


def _check_evaluations(name: str, training: TrainingArguments) -> None:
    """Check that a run is evaluated, and keeps what was best, where it was told how to choose."""
    if training.eval_strategy == "no":
        raise ArgumentError(
            f"--{name} needs evaluations. Give --validation_data_path, and leave --eval_strategy "
            "out or set it to epoch or steps."
        )
    keeps_best = training.load_best_model_at_end or training.save_strategy == "best"
    if not keeps_best and training.lr_scheduler_type not in ("reduce_lr_on_plateau", "greedy"):
        raise ArgumentError(
            f"--{name} needs the best checkpoint to be kept. Set --save_strategy to the word of "
            "--eval_strategy, and leave --load_best_model_at_end out."
        )


def _check_augmented(data: DataArguments) -> None:
    if data.augment:
        raise ArgumentError(
            "--augment changes each clip anew in every epoch, and --frame_features store keeps "
            "what was seen once. Leave one of them out."
        )


def _check_store(model: ModelArguments, training: TrainingArguments) -> None:
    if "vision_tower" in model.train_parts:
        raise ArgumentError(
            "--frame_features store keeps what a frozen vision tower sees, and --train_parts "
            "names vision_tower. Leave one of them out."
        )
    if training.fsdp:
        raise ArgumentError(
            "--frame_features store needs the vision tower whole on each process, and --fsdp "
            "divides it. Use DDP (torchrun alone), or --frame_features live."
        )
