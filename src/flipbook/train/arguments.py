"""What did the user ask for?

    config.yaml and flags -> ModelArguments, DataArguments, TrainingArguments

A flag beats the file, the file beats the default. To add a setting: one field here, its help under
it; a field that nothing reads fails a test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import transformers

from flipbook.errors import ArgumentError


@dataclass
class ModelArguments:
    """Which checkpoint is tuned, and what of it learns."""

    model_name_or_path: str = field(
        default="tiny",
        metadata={
            "help": "A folder or a hub id in the Hugging Face layout (fast_vlm) or in Apple's "
            "(llava_qwen2, llava_llama); 'tiny' is the embedded model."
        },
    )
    train_parts: list[str] = field(
        default_factory=lambda: ["projector", "language_model"],
        metadata={"help": "What learns: any of vision_tower, projector, language_model."},
    )
    lora_r: int = field(
        default=0,
        metadata={"help": "Rank of LoRA adapters on the language model; 0 trains it in full."},
    )
    lora_alpha: float | None = field(
        default=None, metadata={"help": "LoRA updates are scaled by alpha / r; twice r when none."}
    )
    lora_dropout: float = field(default=0.05, metadata={"help": "Dropout before each adapter."})
    quantize: Literal["none", "4bit", "8bit"] = field(
        default="none",
        metadata={
            "help": "Load the language model quantised by bitsandbytes; needs a CUDA GPU and LoRA."
        },
    )
    frozen_dtype: Literal["auto", "float32", "bfloat16"] = field(
        default="auto",
        metadata={
            "help": "Precision of weights that do not train; auto is bfloat16 with --bf16. "
            "Weights that train are always float32."
        },
    )
    save_dtype: Literal["auto", "float32", "bfloat16"] = field(
        default="auto",
        metadata={"help": "Precision of the saved model; auto is bfloat16 with --bf16."},
    )
    train_batch_norm: bool = field(
        default=False,
        metadata={"help": "Let the BatchNorm statistics of a trained vision tower move."},
    )
    attn_implementation: str = field(
        default="sdpa", metadata={"help": "Attention of the language model, as in transformers."}
    )


@dataclass
class DataArguments:
    """Which records are read, and how a file becomes frames."""

    data_path: list[str] = field(
        default_factory=list,
        metadata={"help": "JSON or JSONL files of records, in the LLaVA or the messages family."},
    )
    validation_data_path: str | None = field(
        default=None, metadata={"help": "Records to evaluate on, while training and at its end."}
    )
    image_folder: str | None = field(
        default=None,
        metadata={"help": "Folder of the videos and images; the record file's own when none."},
    )
    num_video_frames: int = field(
        default=8, metadata={"help": "Frames taken from each video, first and last included."}
    )
    frame_sampler: str = field(
        default="uniform",
        metadata={
            "help": "uniform: evenly over the clip. segments: one in each equal segment, jittered "
            "in training. fps: --frames_per_s frames a second."
        },
    )
    frames_per_s: float = field(default=1.0, metadata={"help": "For the sampler fps."})
    min_frames: int = field(default=4, metadata={"help": "Floor of the sampler fps."})
    max_frames: int = field(default=64, metadata={"help": "Ceiling of the sampler fps."})
    frame_snap: float = field(
        default=0.0,
        metadata={
            "help": "Share of the spacing by which an instant may move to a frame that is cheaper "
            "to decode, for example 0.25; 0 is exact."
        },
    )
    frame_size: int | None = field(
        default=None,
        metadata={
            "help": "Side of a frame in px, a multiple of 64; a frame is (side / 64)^2 tokens. "
            "The checkpoint's own when none."
        },
    )
    image_aspect_ratio: str | None = field(
        default=None,
        metadata={
            "help": "pad (default), crop or stretch to a square. A model that flipbook tuned "
            "keeps its own."
        },
    )
    system_prompt: str | None = field(
        default=None, metadata={"help": "Replaces the chat template's own system prompt."}
    )
    model_max_length: int | None = field(
        default=None,
        metadata={"help": "Longest conversation in tokens; the language model's limit when none."},
    )
    max_bad_fraction: float = field(
        default=0.0,
        metadata={"help": "Share of records that may be rejected before the run is refused."},
    )
    data_seed: int = field(default=42, init=False)  # follows TrainingArguments


@dataclass
class TrainingArguments(transformers.TrainingArguments):
    """Every setting of `transformers.TrainingArguments`, with defaults for tuning on clips."""

    output_dir: str | None = field(
        default="runs/finetune", metadata={"help": "The run folder that is made."}
    )
    learning_rate: float = field(
        default=2e-5, metadata={"help": "Peak rate; 2e-4 when LoRA is used and none is given."}
    )
    projector_learning_rate: float | None = field(
        default=None, metadata={"help": "Rate of the projector; --learning_rate when none."}
    )
    vision_tower_learning_rate: float | None = field(
        default=None, metadata={"help": "Rate of the vision tower; a tenth of --learning_rate."}
    )
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "Shape of the rate."})
    warmup_steps: float = field(
        default=0.03, metadata={"help": "Warm-up in steps, or as a share of the run if below 1."}
    )
    logging_steps: float = field(default=10, metadata={"help": "Steps between two log lines."})
    logging_first_step: bool = field(default=True, metadata={"help": "Log the first step too."})
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Must stay off: it would log a NaN loss as 0."}
    )
    report_to: str = field(
        default="tensorboard", metadata={"help": "Where curves go, besides log.jsonl."}
    )
    save_strategy: str = field(
        default="epoch", metadata={"help": "When checkpoints are written: no, steps or epoch."}
    )
    save_total_limit: int | None = field(
        default=2, metadata={"help": "How many checkpoints are kept; the best one always is."}
    )
    eval_num_answers: int = field(
        default=64,
        metadata={"help": "Validation questions answered in words at each evaluation; 0 for none."},
    )
    max_new_tokens: int = field(
        default=64, metadata={"help": "Longest generated answer in tokens."}
    )
    report_num_questions: int = field(
        default=200,
        metadata={
            "help": "Validation questions in the table after training (start model, tuned model, "
            "four controls); 0 for no table."
        },
    )
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must stay off: samples are no columns."}
    )
    dataloader_persistent_workers: bool = field(
        default=True, metadata={"help": "Keep the decoding workers between epochs."}
    )
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Every trained weight takes part in every batch."}
    )
    dataloader_pin_memory: bool = field(
        default_factory=torch.cuda.is_available,
        metadata={"help": "Keep batches where a GPU can fetch them; on where there is one."},
    )
    disable_tqdm: bool | None = field(default=False, metadata={"help": "Show no progress bar."})

    def __post_init__(self) -> None:
        _refuse_unsupported(self)
        if self.dataloader_num_workers == 0:
            self.dataloader_persistent_workers = False
        super().__post_init__()  # type: ignore[no-untyped-call]
        self._n_gpu = min(self.n_gpu, 1)  # several GPUs are used by several processes (torchrun)

    @property
    def part_learning_rates(self) -> dict[str, float | None]:
        """Rates by part; None means `learning_rate`."""
        tower = self.vision_tower_learning_rate
        return {
            "projector": self.projector_learning_rate,
            "vision_tower": self.learning_rate / 10 if tower is None else tower,
        }


@dataclass(frozen=True)
class Arguments:
    """All that a training run is told.

    Attributes:
        explicit: the names that the user set, in the file or by a flag.
    """

    model: ModelArguments
    data: DataArguments
    training: TrainingArguments
    explicit: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.data.max_bad_fraction < 1:
            raise ArgumentError(
                f"--max_bad_fraction must be in [0, 1), got {self.data.max_bad_fraction}"
            )
        if self.model.quantize != "none" and self.model.lora_r == 0:
            raise ArgumentError(
                f"--quantize {self.model.quantize} freezes the language model. "
                "Add --lora_r (for example 16), or remove --quantize."
            )
        is_mixed = self.model.frozen_dtype == "bfloat16" or self.model.quantize != "none"
        if is_mixed and not self.training.bf16:
            raise ArgumentError(
                "--frozen_dtype bfloat16 and --quantize put bfloat16 weights beside float32 ones, "
                "which meet only under --bf16 true. Add it, or leave them out."
            )


def _refuse_unsupported(args: TrainingArguments) -> None:
    """Raise ArgumentError for settings of the library that would do nothing or do harm here."""
    reasons = {
        "use_liger_kernel": "it does nothing for a FastVLM",
        "logging_nan_inf_filter": "it would log a loss that is not a number as 0",
        "remove_unused_columns": "samples are not columns; it would empty every batch",
    }
    for name, reason in reasons.items():
        if getattr(args, name):
            raise ArgumentError(f"--{name} is not supported: {reason}. Leave it off.")
    if args.eval_num_answers < 0 or args.report_num_questions < 0 or args.max_new_tokens < 1:
        raise ArgumentError(
            "--eval_num_answers and --report_num_questions must be 0 or more, and "
            "--max_new_tokens 1 or more."
        )
