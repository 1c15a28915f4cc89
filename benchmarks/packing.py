"""How much of a batch is padding, and how even are the batches of several processes?

    python benchmarks/packing.py  ->  benchmarks/results/packing.md

Lengths as they are mixed in practice: texts, pictures, and clips of 4 to 64 frames with one to
twelve questions each. Tokens are counted, nothing is trained: padded rectangles of random and of
sorted questions, as samplers usually make them, beside rows packed to a budget.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flipbook.data.epochs.packing import PackedBatches, make_units
from measuring import circumstances, table, write_page

RESULT_FILE = Path(__file__).parent / "results" / "packing.md"
IntArray = NDArray[np.int64]
TOKENS_PER_FRAME = 17  # at 256 px, with its line break


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--smoke", action="store_true", help="few clips, without a result file")
    given = parser.parse_args(words)
    num_clips = 300 if given.smoke else given.clips
    clips, lengths, heads = mixed_lengths(num_clips)
    lines = [
        "# Packing: padding, and balance between processes",
        "",
        circumstances(),
        f"{len(lengths):,} questions about {num_clips:,} clips, pictures and texts: "
        f"{lengths.min()} to {lengths.max():,} tokens each, {lengths.sum():,} in all.",
        "",
        "## Tokens that are computed in an epoch",
        "",
        *tokens_table(clips, lengths, heads),
        "",
        "## Packed rows of 8 questions a pass",
        "",
        "Fullness is tokens over budget; the rows hold no padding, so what is missing is not "
        "computed either. Balance is the longest batch of a step over the mean of its batches.",
        "",
        *balance_table(clips, lengths, heads),
        "",
    ]
    print("\n".join(lines))
    if not given.smoke:
        write_page(RESULT_FILE, lines)
    return 0


def mixed_lengths(num_clips: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return the clip, the length and the shared head of each question."""
    rng = np.random.default_rng(0)
    num_frames = rng.choice(
        [0, 1, 4, 8, 16, 32, 64], num_clips, p=[0.1, 0.2, 0.1, 0.3, 0.1, 0.1, 0.1]
    )
    questions = np.where(num_frames > 0, rng.integers(1, 13, num_clips), 1)
    clips = np.repeat(np.arange(num_clips), questions)
    heads = np.where(num_frames > 0, 14 + num_frames * TOKENS_PER_FRAME, 0)[clips]
    own = np.exp(rng.normal(3.9, 0.7, len(clips))).astype(np.int64) + 12
    return clips, np.where(heads > 0, heads, 14) + own, heads


def tokens_table(clips: IntArray, lengths: IntArray, heads: IntArray) -> list[str]:
    shared = make_units(
        clips=clips, num_tokens=lengths, head_tokens=heads, max_conversations=8, seed=0
    )
    random = np.random.default_rng(1).permutation(lengths)
    ways = {
        "padded batches of 16 at random": padded(random),
        "padded batches of 16, sorted by length": padded(np.sort(lengths)),
        "rows without padding": int(lengths.sum()),
        "rows without padding, 8 questions a pass": int(shared.num_tokens.sum()),
    }
    needed = int(lengths.sum())
    rows = [
        [way, f"{tokens:,}", f"{max(0.0, 1 - needed / tokens):.1%}", tokens / needed]
        for way, tokens in ways.items()
    ]
    return table(["way", "tokens", "padding among them", "times those of the questions"], rows)


def padded(lengths: IntArray, *, size: int = 16) -> int:
    """Return the area of rectangles of `size` questions in this order."""
    parts = [lengths[start : start + size] for start in range(0, len(lengths), size)]
    return sum(int(part.max()) * len(part) for part in parts)


def balance_table(clips: IntArray, lengths: IntArray, heads: IntArray) -> list[str]:
    rows = []
    for budget in (4096, 16384):
        units = make_units(
            clips=clips,
            num_tokens=lengths,
            head_tokens=heads,
            max_conversations=8,
            max_tokens=budget,
            seed=0,
        )
        for num_processes in (1, 2, 8, 64):
            start = time.process_time()
            batches = PackedBatches(units, max_tokens=budget, num_processes=num_processes, seed=0)
            plan = [[unit for unit in batch if unit >= 0] for batch in batches.batches(1)]
            spent = time.process_time() - start
            tokens = np.array([int(units.num_tokens[batch].sum()) for batch in plan])
            steps = tokens.reshape(-1, num_processes)
            balance = float((steps.max(axis=1) / np.maximum(1, steps.mean(axis=1))).mean())
            cells = [f"{budget:,}", num_processes, f"{len(batches):,}", f"{batches.filling:.1%}"]
            rows.append([*cells, f"{balance:.3f}", f"{spent:.2f}"])
    header = ["budget, tokens", "processes", "batches", "fullness", "balance", "CPU s to plan"]
    return table(header, rows)


if __name__ == "__main__":
    raise SystemExit(main())
