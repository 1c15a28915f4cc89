"""Which frames, sides, batches and ways of tuning fit, and which of them is best?

    footprints, lengths, batches -> Choice of each combination: tokens, bytes, whether it fits
    choices, budgets             -> the best choice of each way of tuning

Best is: the most frames, then the largest side, then the largest batch, of those that fit with no
sample over the limit. Frames come first, since motion is what a clip adds to a picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import FastVlmConfig

from flipbook.train.arguments import Arguments
from flipbook.train.planning.footprint import Footprint, footprint_of
from flipbook.train.planning.forecast import Forecast, MemoryModel, StepShape
from flipbook.train.planning.lengths import Frames, Layout, LongestBatch, SampleLengths
from flipbook.train.planning.memory import USABLE_SHARE

LORA_RANK = 16  # that is weighed where the run has no adapters
FULL = "full"
BEST_RULE = (
    "Best is: most frames, then the largest side, then the largest batch, of what fits with no "
    "sample over the limit."
)


@dataclass(frozen=True)
class Grid:
    """What is combined; `batch_sizes` are in questions, None for batches filled by tokens."""

    num_frames: tuple[int, ...]
    sides_px: tuple[int, ...]
    batch_sizes: tuple[int | None, ...]


@dataclass(frozen=True)
class Budget:
    """What a choice may take.

    Attributes:
        memory_bytes: of one process.
        max_length: of a sample, in tokens.
        batch_tokens: of a batch; None is no limit.
    """

    memory_bytes: int
    max_length: int
    batch_tokens: int | None = None


@dataclass(frozen=True)
class Choice:
    """One combination, and what follows from it.

    Attributes:
        tuning: "full" or "LoRA r=16".
        batch_size: in questions; None where batches are filled by tokens.
        longest_tokens: of the longest batch.
        num_too_long: samples over the limit.
        fits: with activations "kept", or "recomputed", or "no".
        peak_bytes: predicted, of the way that fits; where none does, of the smaller one.
        kept_bytes, recomputed_bytes: of both ways.
    """

    num_frames: int
    side_px: int
    tuning: str
    batch_size: int | None
    longest_tokens: int
    num_too_long: int
    fits: str
    peak_bytes: int
    kept_bytes: int
    recomputed_bytes: int


def footprints_of(config: FastVlmConfig, arguments: Arguments) -> dict[str, Footprint]:
    """Return the footprint of each way of tuning: with adapters and in full.

    Where the language model does not train, there is one way.
    """
    words = arguments.model
    if "language_model" not in words.train_parts:
        return {FULL: footprint_of(config, arguments)}
    rank = words.lora_r or LORA_RANK
    adapted = dataclasses.replace(arguments, model=dataclasses.replace(words, lora_r=rank))
    whole = dataclasses.replace(words, lora_r=0, quantize="none")
    return {
        tuning_name(rank): footprint_of(config, adapted),
        FULL: footprint_of(config, dataclasses.replace(arguments, model=whole)),
    }


def tuning_name(rank: int) -> str:
    """Return how a way of tuning is called."""
    return f"LoRA r={rank}" if rank else FULL


@dataclass(frozen=True)
class Weigher:
    """Weighs choices for one data set and one model.

    Attributes:
        layouts: how batches of each size are packed; the key None is for batches by tokens.
        targets_each: how many tokens of a conversation are learned, on average.
        device_type, num_processes: on what, and on how many, the run goes.
        max_batch_tokens: to which batches are filled, where they are not counted in questions.
        recomputes: whether activations are computed twice, where the user has decided that.
    """

    memory: MemoryModel
    lengths: SampleLengths
    layouts: Mapping[int | None, Layout]
    budget: Budget
    targets_each: float
    device_type: str
    num_processes: int
    max_batch_tokens: int | None = None
    recomputes: bool | None = None

    def weigh(
        self, footprints: Mapping[str, Footprint], frames: Frames, batch_size: int | None
    ) -> list[Choice]:
        """Return what follows from one combination, for each way of tuning."""
        limit = self.budget.max_length
        longest = self.longest(frames, batch_size)
        num_too_long = int((self.lengths.num_tokens(frames) > limit).sum())
        choices = []
        for tuning, footprint in footprints.items():
            kept, recomputed = (
                self.forecast(footprint, frames, longest, recomputes=twice).peak_bytes
                for twice in (False, True)
            )
            fits, peak = self._fitting(kept, recomputed)
            choices.append(
                Choice(
                    num_frames=frames.num_frames,
                    side_px=frames.side_px,
                    tuning=tuning,
                    batch_size=batch_size,
                    longest_tokens=longest.num_tokens,
                    num_too_long=num_too_long,
                    fits=fits,
                    peak_bytes=peak,
                    kept_bytes=kept,
                    recomputed_bytes=recomputed,
                )
            )
        return choices

    def longest(self, frames: Frames, batch_size: int | None) -> LongestBatch:
        """Return the longest batch of a choice.

        Those that are filled by tokens would be packed anew: as many of them in other shares.
        """
        layout = self.layouts[batch_size]
        longest = layout.longest(self.lengths, frames, max_length=self.budget.max_length)
        if batch_size is None and frames != self.lengths.measured:
            total = int(self.lengths.num_tokens(frames).sum())
            return longest.filled_to(min(self.max_batch_tokens or total, total))
        return longest

    def forecast(
        self, footprint: Footprint, frames: Frames, longest: LongestBatch, *, recomputes: bool
    ) -> Forecast:
        """Return what a step of the longest batch takes."""
        step = StepShape(
            num_tokens=longest.num_tokens,
            num_targets=max(1, round(self.targets_each * longest.num_conversations)),
            num_frames=longest.num_frames,
            side_px=frames.side_px,
            recomputes=recomputes,
            num_processes=self.num_processes,
            device_type=self.device_type,
        )
        return self.memory.predict(footprint, step)

    def _fitting(self, kept: int, recomputed: int) -> tuple[str, int]:
        """Return which way fits, and what it takes."""
        ways = {"kept": kept, "recomputed": recomputed}
        if self.recomputes is not None:
            ways.pop("kept" if self.recomputes else "recomputed")
        room = self.budget.memory_bytes * USABLE_SHARE
        fitting = ((way, size) for way, size in ways.items() if size <= room)
        return next(fitting, ("no", min(ways.values())))


def weigh_all(weigher: Weigher, footprints: Mapping[str, Footprint], grid: Grid) -> list[Choice]:
    """Return every combination of a grid, in its order."""
    return [
        choice
        for number in grid.num_frames
        for side in grid.sides_px
        for size in grid.batch_sizes
        for choice in weigher.weigh(footprints, Frames(number, side), size)
    ]


def best_of(choices: Sequence[Choice], budget: Budget) -> dict[str, Choice | None]:
    """Return the best choice of each way of tuning by `BEST_RULE`; None where none fits."""
    best: dict[str, Choice | None] = {}
    for choice in choices:
        known = best.setdefault(choice.tuning, None)
        if is_possible(choice, budget) and (known is None or _rank(choice) > _rank(known)):
            best[choice.tuning] = choice
    return best


def is_possible(choice: Choice, budget: Budget) -> bool:
    """Return whether a choice keeps to the budget."""
    most = budget.batch_tokens
    return (
        choice.fits != "no"
        and choice.num_too_long == 0
        and (most is None or choice.longest_tokens <= most)
    )


def _rank(choice: Choice) -> tuple[int, int, int]:
    return choice.num_frames, choice.side_px, choice.batch_size or 0
