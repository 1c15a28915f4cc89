"""Which numbers may each flag be?

arguments -> nothing, or an ArgumentError that names flag, value and what to give

To add a flag that is a number: one line in `RANGES`. One that is left open (None) is not looked at,
and of several numbers each is. A test holds that no flag with a number is missing here.
"""

from __future__ import annotations

from typing import Any

from flipbook.model.tuning import LORA_DROPOUT
from flipbook.video.ranges import Range
from flipbook.video.settings import RANGES as CLIP_RANGES

MANY = 2**31 - 1  # what C calls an int, in which libraries keep their counts
MOST_SEED = 2**32 - 1  # that NumPy takes
_COUNT = Range(is_whole=True, least=1, most=MANY)
_COUNT_OR_NONE = Range(is_whole=True, least=0, most=MANY)
_SEED = Range(is_whole=True, most=MOST_SEED)
_FROM_0 = Range()
_ABOVE_0 = Range(above_least=True)
_BELOW_1 = Range(most=1, below_most=True)

RANGES = {
    # the model
    "lora_r": _COUNT_OR_NONE,
    "lora_alpha": _ABOVE_0,
    "lora_dropout": LORA_DROPOUT,
    # the data
    "split_fractions": Range(most=1),
    "image_replay": Range(most=1, above_least=True, below_most=True),
    "max_bad_fraction": _BELOW_1,
    "proof_records": _COUNT_OR_NONE,
    "num_video_frames": CLIP_RANGES["num_frames"],
    "frames_per_s": CLIP_RANGES["frames_per_s"],
    "frames_fps": CLIP_RANGES["frames_per_s"],
    "min_frames": CLIP_RANGES["min_frames"],
    "max_frames": CLIP_RANGES["max_frames"],
    "frame_snap": CLIP_RANGES["frame_snap"],
    "clip_share": CLIP_RANGES["clip_share"],
    "num_clips": CLIP_RANGES["num_clips"],
    "min_frame_change": CLIP_RANGES["min_frame_change"],
    "slow_frames": CLIP_RANGES["slow_frames"],
    "frame_size": CLIP_RANGES["frame_size"],
    "model_max_length": _COUNT,
    "questions_per_pass": _COUNT,
    "max_batch_tokens": _COUNT,
    "feature_store_max_gb": Range(most=MANY),
    "feature_views": _COUNT,
    # what is learned, and for how long
    "per_device_train_batch_size": _COUNT,
    "gradient_accumulation_steps": _COUNT,
    "num_train_epochs": Range(most=MANY),
    "max_steps": Range(is_whole=True, least=1, most=MANY, also=-1),
    "learning_rate": _FROM_0,
    "projector_learning_rate": _FROM_0,
    "vision_tower_learning_rate": _FROM_0,
    "warmup_steps": _FROM_0,
    "weight_decay": _FROM_0,
    "adam_beta1": _BELOW_1,
    "adam_beta2": _BELOW_1,
    "adam_epsilon": _FROM_0,
    "max_grad_norm": Range(may_be_infinite=True),
    "label_smoothing_factor": _BELOW_1,
    "neftune_noise_alpha": _FROM_0,
    "seed": _SEED,
    "data_seed": _SEED,
    # when something is written or looked at
    "logging_steps": _ABOVE_0,
    "save_steps": _ABOVE_0,
    "save_total_limit": _COUNT_OR_NONE,
    "eval_steps": _ABOVE_0,
    "eval_delay": _FROM_0,
    "per_device_eval_batch_size": _COUNT,
    "eval_accumulation_steps": _COUNT,
    "eval_num_answers": _COUNT_OR_NONE,
    "follow_num_answers": _COUNT_OR_NONE,
    "report_num_questions": _COUNT_OR_NONE,
    "max_new_tokens": _COUNT,
    "early_stopping_patience": _COUNT,
    "early_stopping_threshold": _FROM_0,
    # processes and machine
    "dataloader_num_workers": _COUNT_OR_NONE,
    "dataloader_prefetch_factor": _COUNT,
    "media_timeout_s": Range(most=MANY),
    "media_memory_gb": Range(most=MANY),
    "torch_empty_cache_steps": _COUNT,
    "ddp_bucket_cap_mb": _COUNT,
    "ddp_timeout": _COUNT,
}
ANY_NUMBER = frozenset({"local_rank"})  # which `torchrun` says, and the library reads no more


def check_ranges(arguments: Any) -> None:
    """Check that each number of an argument dataclass is one that its flag may be.

    Raises:
        ArgumentError: one is not.
    """
    for name in arguments.__dataclass_fields__.keys() & RANGES.keys():
        value = getattr(arguments, name)
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                RANGES[name].check(f"--{name}", one)
