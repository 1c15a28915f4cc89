"""What does a question cost to train on, decoding included, and what does each technique save?

    python benchmarks/train.py [--smoke] [--tables ...]  ->  benchmarks/results/train.md

The tower and projector of true size with random weights that see, before a language model of the
embedded model's size; the tower rests, the others learn; float32, one thread. `--smoke` runs
everything once with the embedded model on a tiny file and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import transformers

import reference
from costs import (
    OURS,
    Bench,
    against_the_usual,
    batches_of_the_usual,
    each_left_out,
    growth,
    one_after_another,
    words_alone,
)
from measuring import circumstances, forget_peak, held_mb, in_fresh_process, table, write_page

RESULT_FILE = Path(__file__).parent / "results" / "train.md"
STEPS_FOR_PEAK = 2


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8, help="length of each video")
    parser.add_argument("--tables", nargs="*", choices=list(TABLES), help="all by default")
    parser.add_argument("--smoke", action="store_true", help="once, small, without a result file")
    parser.add_argument("--peak", choices=list(PEAK_WAYS), help=argparse.SUPPRESS)  # one run
    given = parser.parse_args(words)
    if not given.smoke and not reference.has_decord():
        print(reference.INSTALL_DECORD, file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder),
            smoke=given.smoke,
            repetitions=given.repetitions,
            seconds=given.seconds,
        )
        if given.peak:
            print(*peak_of(bench, given.peak))
            return 0
        lines = title(bench)
        for name in given.tables or TABLES:
            lines += TABLES[name](bench)
            print("\n".join(lines[-20:]), flush=True)
    if not given.smoke and not given.tables:
        write_page(RESULT_FILE, lines)
    return 0


def peak_of(bench: Bench, way: str) -> tuple[float, float]:
    """Return the MB that this process holds with a model ready, and at most while it learns."""
    step = PEAK_WAYS[way](bench)
    forget_peak()
    before, _ = held_mb()
    for _ in range(STEPS_FOR_PEAK):
        step()
    return before, held_mb()[1]


PEAK_WAYS = {
    "usual": lambda bench: bench.steps().usual(bench.asked(bench.num_questions, 1)),
    "one": lambda bench: bench.steps().ours(bench.asked(bench.num_questions, 1), OURS),
    "many": lambda bench: bench.steps().ours(bench.asked(1, bench.num_questions), OURS),
}


def memory(bench: Bench) -> list[str]:
    """Return the table of the memory that training takes, each way in a fresh process."""
    names = {
        "usual": f"the usual way, {bench.num_questions} questions in a step",
        "one": f"ours, {bench.num_questions} clips with 1 question",
        "many": f"ours, 1 clip with {bench.num_questions} questions",
    }
    measured = {
        way: peak_of(bench, way) if bench.smoke else in_fresh_process(__file__, "--peak", way)
        for way in names
    }
    usual_before, usual_most = measured["usual"]
    usual_own = max(usual_most - usual_before, 0.1)
    rows = [
        [names[way], before, most, most / usual_most, (most - before) / usual_own]
        for way, (before, most) in measured.items()
    ]
    header = ["way", "MB, model ready", "MB at most", "of the usual", "without what was ready"]
    return ["## Memory", "", *table(header, rows), ""]


TABLES: dict[str, Callable[[Bench], list[str]]] = {
    "all": against_the_usual,
    "batch": batches_of_the_usual,
    "memory": memory,
    "after": one_after_another,
    "without": each_left_out,
    "words": words_alone,
    "growth": growth,
}


def title(bench: Bench) -> list[str]:
    return [
        "# Training: what a question costs",
        "",
        circumstances(transformers=transformers.__version__),
        f"{bench.file.name} of {bench.seconds} s at 30 frames/s, {bench.num_frames} frames of "
        f"{bench.side} px unless said otherwise, float32. FastViTHD and projector of true size "
        "with random weights, a language model of the embedded size; the tower rests, the others "
        "learn.",
        f"CPU time of decoding, forward, backward and update, divided by the questions of a step; "
        f"medians of {bench.repetitions} rounds, all ways of a table in turns. The usual way is "
        f"benchmarks/reference.py, {bench.usual_questions} questions a step unless said otherwise.",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
