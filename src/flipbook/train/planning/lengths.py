"""How long would samples and batches be, with other frames, other sides, other sizes of batch?

    measured table, frames, side -> tokens of each sample (N,)
    batches as they are packed   -> the longest of them

Only the frames of a clip and their tokens change, so lengths follow from those that were measured:

    tokens(f, s) = text + (videos * f + images) * ((s / 64)^2 + 1)      a line break for each frame

A conversation that shows other frames than the run asks for keeps its own: another number of them
(the sampler `fps`, or a record that says so itself), or another side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.epochs.packing import PackedBatches, filler_of
from flipbook.errors import BudgetError
from flipbook.train.batches import BatchRules
from flipbook.video.frames import PX_PER_TOKEN
from flipbook.video.layouts import FRAMES

IntArray = NDArray[np.int64]
# Above it batches of sizes that are only weighed are packed from a part of the clips: packing a
# million conversations takes some 15 s for each size.
MAX_PACKED = 50_000
NUM_NAMED = 5


@dataclass(frozen=True)
class Frames:
    """How many frames of a clip are seen, `side_px` wide and high."""

    num_frames: int
    side_px: int


class SampleLengths:
    """The lengths of a data set's conversations, as functions of what is seen of a clip.

    Args:
        table: of `LazySupervisedDataset`, or what has its arrays.
        measured: what was seen of a clip when the table was made.
        by_duration: whether the number of frames follows from a clip's length.
        is_laid_out: whether a layout makes other places of frames, so that a conversation is as
            long as it was measured and nothing is known of other frames.
    """

    def __init__(
        self,
        table: Any,
        *,
        measured: Frames,
        by_duration: bool = False,
        is_laid_out: bool = False,
    ) -> None:
        self.table = table
        self.measured = measured
        self.is_laid_out = is_laid_out
        self._num_tokens = table.num_tokens.astype(np.int64)
        self._head_tokens = table.head_tokens.astype(np.int64)
        self._num_frames = table.num_frames.astype(np.int64)
        asked = self._asked(measured.num_frames)
        is_fixed = np.full(len(asked), is_laid_out)
        self._is_own = is_fixed | by_duration | (self._num_frames != asked)
        self._sides_px = table.frame_size.astype(np.int64)
        self._is_own_side = is_fixed | (self._sides_px != measured.side_px)

    @classmethod
    def of(cls, dataset: LazySupervisedDataset) -> SampleLengths:
        """Return the lengths of a data set."""
        settings = dataset.settings
        return cls(
            dataset.table,
            measured=Frames(settings.num_frames, settings.frame_size),
            by_duration=settings.sampler == "fps",
            is_laid_out=settings.layout != FRAMES,
        )

    def _asked(self, num_frames: int) -> IntArray:
        videos: IntArray = self.table.num_videos.astype(np.int64)
        images: IntArray = self.table.num_images.astype(np.int64)
        asked: IntArray = videos * num_frames + images
        return asked

    def num_frames(self, frames: Frames) -> IntArray:
        """Return how many frames each conversation shows, (N,)."""
        shown: IntArray = np.where(self._is_own, self._num_frames, self._asked(frames.num_frames))
        return shown

    def num_tokens(self, frames: Frames) -> IntArray:
        """Return the length of each conversation, (N,)."""
        longer: IntArray = self._num_tokens + self._change(frames)
        return longer

    def head_tokens(self, frames: Frames) -> IntArray:
        """Return how much of each its sisters about the same clip share, (N,)."""
        return np.where(self._head_tokens > 0, self._head_tokens + self._change(frames), 0)

    def budget(self, place: int) -> str:
        """Return the sum of a conversation's tokens in words."""
        num_tokens, num_frames = int(self._num_tokens[place]), int(self._num_frames[place])
        if self.is_laid_out:
            return f"{num_frames} pictures, text and answers = {num_tokens} tokens"
        each = int(self._sides_px[place] // PX_PER_TOKEN) ** 2
        text = num_tokens - num_frames * each
        return f"{num_frames} frames x {each} + {text} of text and answers = {num_tokens} tokens"

    def _change(self, frames: Frames) -> IntArray:
        """Return by how many tokens each conversation would be longer, (N,)."""
        sides_px = np.where(self._is_own_side, self._sides_px, frames.side_px)
        before: IntArray = self._num_frames * _tokens_each(self._sides_px)
        return self.num_frames(frames) * _tokens_each(sides_px) - before


def _tokens_each(sides_px: IntArray) -> IntArray:
    """Return the tokens of a frame and of the line break after it, (N,)."""
    return (sides_px // PX_PER_TOKEN) ** 2 + 1


@dataclass(frozen=True)
class LongestBatch:
    """What the longest batch of a run holds."""

    num_tokens: int
    num_frames: int
    num_conversations: int

    def filled_to(self, num_tokens: int) -> LongestBatch:
        """Return a batch of another length that holds the same in the same shares."""
        share = num_tokens / max(1, self.num_tokens)
        return LongestBatch(
            num_tokens, round(self.num_frames * share), round(self.num_conversations * share)
        )


class Layout:
    """Which conversations come together in the batches of the first epoch.

    Their lengths may be others than those by which they were packed.

    Args:
        places: of the packed conversations among all, where they are a part of them.
    """

    def __init__(self, batches: PackedBatches, places: IntArray | None = None) -> None:
        units = batches.units
        chosen = [
            [unit if unit >= 0 else filler_of(unit) for unit in batch]
            for batch in batches.batches(0)
        ]
        self._units = np.concatenate([np.asarray(batch, dtype=np.int64) for batch in chosen])
        self._batch_starts = _starts([len(batch) for batch in chosen])
        self._members = units.members if places is None else places[units.members]
        self._unit_starts = units.starts[:-1]

    def longest(
        self, lengths: SampleLengths, frames: Frames, *, max_length: int | None = None
    ) -> LongestBatch:
        """Return the longest batch, without conversations that are longer than `max_length`."""
        tokens = lengths.num_tokens(frames)[self._members]
        is_in = np.ones(len(tokens), bool) if max_length is None else tokens <= max_length
        heads = lengths.head_tokens(frames)[self._members][self._unit_starts]
        shown = lengths.num_frames(frames)[self._members][self._unit_starts]
        counts = self._of_units(is_in.astype(np.int64))
        per_unit = self._of_units(np.where(is_in, tokens, 0)) - heads * np.maximum(counts - 1, 0)
        per_batch = self._of_batches(per_unit)
        place = int(per_batch.argmax())
        return LongestBatch(
            num_tokens=int(per_batch[place]),
            num_frames=int(self._of_batches(np.where(counts > 0, shown, 0))[place]),
            num_conversations=int(self._of_batches(counts)[place]),
        )

    def _of_units(self, values: IntArray) -> IntArray:
        summed: IntArray = np.add.reduceat(values, self._unit_starts)
        return summed

    def _of_batches(self, values: IntArray) -> IntArray:
        return np.add.reduceat(values[self._units], self._batch_starts)


def layouts_of(
    lengths: SampleLengths,
    rules: BatchRules,
    batch_sizes: Sequence[int],
    *,
    num_processes: int,
    seed: int | None,
) -> dict[int | None, Layout]:
    """Return how batches of each size, in questions, would be packed.

    Of a large table every so many clips are packed in the place of all.
    """
    counting = dataclasses.replace(rules, max_batch_tokens=None)
    table = lengths.table
    stride = -(-len(table.clips) // MAX_PACKED)
    places = np.flatnonzero(table.clips % stride == 0)
    arrays = ("clips", "num_tokens", "head_tokens", "source_of", "num_videos", "num_images")
    part = SimpleNamespace(**{name: getattr(table, name)[places] for name in arrays})
    part.sources = table.sources
    dataset = cast(LazySupervisedDataset, SimpleNamespace(table=part, epoch=int))
    return {
        size: Layout(
            counting.pack(dataset, batch_size=size, num_processes=num_processes, seed=seed), places
        )
        for size in batch_sizes
    }


def _starts(counts: Sequence[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)


@dataclass(frozen=True)
class TooLong:
    """Conversations over the limit: how many, and the first of them with their budgets."""

    limit: int
    count: int
    first: tuple[tuple[str, str], ...]


def too_long(dataset: LazySupervisedDataset, lengths: SampleLengths, *, max_length: int) -> TooLong:
    """Return the conversations over the limit, the longest first.

    They are those that were left out for it, and those of a table that was made without a limit.
    """
    left_out = [error for error in dataset.check.rejected if isinstance(error, BudgetError)]
    tokens = lengths.num_tokens(lengths.measured)
    over = np.flatnonzero(tokens > max_length)
    longest = over[np.argsort(-tokens[over], kind="stable")][:NUM_NAMED].tolist()
    first = [(error.record_id, error.message) for error in left_out]
    first += [(dataset.table[place].record_id, lengths.budget(place)) for place in longest]
    return TooLong(max_length, len(left_out) + len(over), tuple(first[:NUM_NAMED]))
