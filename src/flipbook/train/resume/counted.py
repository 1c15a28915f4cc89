"""Which settings may differ between a run and the one that goes on with it?

name of a setting  ->  harmless, told by its content, of the batches, or (all others) compared

Everything counts that is on none of these lists, so that a new setting counts by itself.
"""

from __future__ import annotations

# They say what is shown, kept, asked and asked for, and change no loss.
HARMLESS = frozenset(
    {
        # where things lie, and what they are called
        "output_dir",
        "run_name",
        "project",
        "feature_store",
        "feature_store_max_gb",
        "resume_from_checkpoint",
        "resume_remap",
        "resume_changed",
        "restore_callback_states_from_checkpoint",
        # what is told
        "logging_strategy",
        "logging_steps",
        "logging_first_step",
        "log_on_each_node",
        "log_level",
        "log_level_replica",
        "disable_tqdm",
        "report_to",
        "trackio_space_id",
        "trackio_bucket_id",
        "trackio_static_space_id",
        "debug",
        "skip_memory_metrics",
        "include_num_input_tokens_seen",
        # when a checkpoint is written, how many are kept, and what becomes of the model
        "save_strategy",
        "save_steps",
        "save_total_limit",
        "save_only_model",
        "save_on_each_node",
        "save_dtype",
        "push_to_hub",
        "hub_token",
        "hub_private_repo",
        "hub_model_id",
        "hub_strategy",
        "hub_always_push",
        "hub_revision",
        # who fetches and decodes, and how far ahead
        "dataloader_num_workers",
        "dataloader_pin_memory",
        "dataloader_persistent_workers",
        "dataloader_prefetch_factor",
        "dataloader_multiprocessing_context",
        # what is proven before the first step
        "proof_records",
        "check_media",
        "max_bad_fraction",
        # the others
        "local_rank",
        "ddp_timeout",
        "do_train",
        "do_eval",
        "do_predict",
        "early_stopping_patience",
        "early_stopping_threshold",
        "report_num_questions",
    }
)

# What is evaluated, and when; it changes losses only where a schedule follows the evaluations.
OF_EVALUATION = frozenset(
    {
        "eval_strategy",
        "eval_steps",
        "eval_delay",
        "eval_on_start",
        "eval_num_answers",
        "follow_num_answers",
        "max_new_tokens",
        "num_clips",
        "per_device_eval_batch_size",
        "prediction_loss_only",
        "eval_do_concat_batches",
        "eval_use_gather_object",
        "eval_accumulation_steps",
        "include_for_metrics",
        "batch_eval_metrics",
        "bf16_full_eval",
        "fp16_full_eval",
        "load_best_model_at_end",
        "validation_data_path",
    }
)
FOLLOWS_EVALUATION = ("reduce_lr_on_plateau", "greedy")  # schedules

# Not what they are called is compared, but what is in them.
BY_CONTENT = frozenset(
    {
        "model_name_or_path",
        "data_path",
        "image_folder",
        "format",
        "map",
        "prompt",
        "frames_fps",
        "split_fractions",
        "use_cpu",
        "gradient_accumulation_steps",
    }
)

# Which records are in which step: with others, some would be seen twice and some never.
OF_BATCHES = frozenset(
    {
        "seed",
        "data_seed",
        "per_device_train_batch_size",
        "auto_find_batch_size",
        "max_batch_tokens",
        "questions_per_pass",
        "image_replay",
    }
)

# What trains.
OF_MODEL = frozenset({"train_parts", "lora_r", "lora_alpha", "quantize"})


def is_compared(name: str, *, schedule: str) -> bool:
    """Return whether a setting must be as it was, under its own name."""
    if name in OF_EVALUATION:
        return schedule in FOLLOWS_EVALUATION
    return name not in HARMLESS and name not in BY_CONTENT
