"""What did the user ask for?

    config.yaml and flags -> ModelArguments, DataArguments, TrainingArguments

A flag beats the file, the file beats the default. To add a setting: one field here, or in
`data_arguments.py`, its help under it; a field that nothing reads fails a test.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
import transformers

from flipbook.data.epochs.regrouping import Regrouping
from flipbook.data.workers.limits import MEMORY_ROOM_BYTES, TIMEOUT_S
from flipbook.train.building import check_json
from flipbook.train.checks import check_together, refuse_unsupported
from flipbook.train.data_arguments import DataArguments
from flipbook.train.examining.stopping import is_higher_better
from flipbook.train.ranges import check_ranges
from flipbook.train.ranks.failing import join_on_cpu

__all__ = ["Arguments", "DataArguments", "ModelArguments", "TrainingArguments"]


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
        default="auto",
        metadata={
            "help": "Attention of the language model: sdpa, eager, or flex_attention, which auto "
            "takes on a CUDA GPU."
        },
    )

    def __post_init__(self) -> None:
        check_ranges(self)


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
    follow_num_answers: int = field(
        default=8,
        metadata={
            "help": "How many of these answers are written to followed.jsonl at each evaluation, "
            "always to the same questions; 0 for none."
        },
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={
            "help": "Stop after so many evaluations without gain in --metric_for_best_model."
        },
    )
    early_stopping_threshold: float = field(
        default=0.0, metadata={"help": "What counts as a gain is more than this."}
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
    resume_remap: bool = field(
        default=False,
        metadata={
            "help": "Go on with --resume_from_checkpoint on another number of processes, in the "
            "same steps: each record is still seen once in an epoch."
        },
    )
    resume_changed: bool = field(
        default=False,
        metadata={
            "help": "Go on with --resume_from_checkpoint though versions, hardware or settings "
            "have changed, with other losses; other data or another model are refused."
        },
    )
    remove_unused_columns: bool = field(
        default=False, metadata={"help": "Must stay off: samples are no columns."}
    )
    dataloader_persistent_workers: bool = field(
        default=True, metadata={"help": "Keep the decoding workers between epochs."}
    )
    media_timeout_s: float = field(
        default=TIMEOUT_S,
        metadata={
            "help": "Seconds in which a worker reads a file, and one more for each 10 MB; one that "
            "does not is ended, and the run with it. 0 gives any time."
        },
    )
    media_memory_gb: float = field(
        default=MEMORY_ROOM_BYTES / (1 << 30),
        metadata={"help": "GiB that a worker may take, beside its batch; 0 for all there is."},
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
        check_ranges(self)
        check_json(self)
        refuse_unsupported(self)
        if self.metric_for_best_model is not None and self.greater_is_better is None:
            self.greater_is_better = is_higher_better(self.metric_for_best_model)
        if self.dataloader_num_workers == 0:
            self.dataloader_persistent_workers = False
        if self.dataloader_pin_memory and self.accelerator_config is None:
            self.accelerator_config = {"non_blocking": True}  # copy while the GPU computes
        join_on_cpu(use_cpu=self.use_cpu, backend=self.ddp_backend, timeout_s=self.ddp_timeout)
        super().__post_init__()  # type: ignore[no-untyped-call]
        self.regrouping: Regrouping | None = None  # where the steps of other processes are taken
        self._n_gpu = min(self.n_gpu, 1)  # several GPUs are used by several processes (torchrun)

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Return the steps of the warm-up, at least one less than the run has.

        In the first of them the rate is 0: a run of nothing else would learn nothing.
        """
        asked: int = super().get_warmup_steps(num_training_steps)
        return max(0, min(asked, num_training_steps - 1))

    @property
    def order_seed(self) -> int:
        """Of the order of the data."""
        return self.seed if self.data_seed is None else self.data_seed

    def keep_steps_of(self, num_processes: int, accumulation: int) -> None:
        """Take the steps that were made for other processes, each of which read so many batches."""
        self.regrouping = Regrouping(num_processes, accumulation, self.world_size)
        self.gradient_accumulation_steps = self.regrouping.accumulation_now

    @property
    def steps_processes(self) -> int:
        """For how many processes the batches of a step are made."""
        return self.regrouping.num_processes if self.regrouping else int(self.world_size)

    @property
    def steps_accumulation(self) -> int:
        """How many batches of a step are made for each of these."""
        own = int(self.gradient_accumulation_steps)
        return self.regrouping.accumulation if self.regrouping else own

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
        check_together(self.model, self.data, self.training, explicit=self.explicit)
