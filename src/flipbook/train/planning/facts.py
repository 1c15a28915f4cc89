"""What is known of a run before its first step?

Values alone; `plan.py` finds them, `plan_text.py` tells how they read.
"""

from __future__ import annotations

from dataclasses import dataclass

from flipbook.model.tuning import PartSize
from flipbook.train.planning.choices import Budget, Choice
from flipbook.train.planning.lengths import TooLong


@dataclass(frozen=True)
class Spread:
    """How long the samples are, in tokens.

    `bins` are (from, to, how many), the last with its end; `longest_id` names the longest record.
    """

    num_samples: int
    min: int
    median: int
    percentile_95: int
    max: int
    longest_id: str
    bins: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Passes:
    """What the first epoch reads, and how often the weights change in all."""

    num_questions: int
    num_passes: int
    num_tokens: int
    num_tokens_alone: int
    num_batches: int
    num_steps: int
    filling: float
    num_processes: int


@dataclass(frozen=True)
class Features:
    """What the store would hold of the training clips; `folder` is None where there is none."""

    num_clips: int
    num_views: int
    num_bytes: int
    folder: str | None


@dataclass(frozen=True)
class Plan:
    """All that is known of a run before its first step.

    Attributes:
        parts: what trains.
        samples: their lengths; `too_long` those over the limit.
        features: of clips that a frozen tower sees; None where it learns.
        own: the choice that the arguments make; `choices` those beside it.
        best: of each way of tuning, None where nothing fits.
        memory_model: what the predictions are worth, as a line.
    """

    parts: tuple[PartSize, ...]
    samples: Spread
    too_long: TooLong
    passes: Passes
    features: Features | None
    device_type: str
    budget: Budget
    own: Choice
    choices: tuple[Choice, ...]
    best: dict[str, Choice | None]
    memory_model: str


@dataclass(frozen=True)
class Wanted:
    """What `flipbook plan` is asked beside the arguments of the run; None is left to the run.

    Attributes:
        num_frames, sides_px, batch_sizes: that are weighed, beside those of the run.
        memory_bytes: of one process; what is free here when none.
        batch_tokens: most tokens of a batch.
        max_length: most tokens of a sample, where the data were read without a limit.
        device_type: on which the run would be.
    """

    num_frames: tuple[int, ...] = ()
    sides_px: tuple[int, ...] = ()
    batch_sizes: tuple[int, ...] = (1, 2, 4, 8)
    memory_bytes: int | None = None
    batch_tokens: int | None = None
    max_length: int | None = None
    device_type: str | None = None
