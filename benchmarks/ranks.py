"""What do several processes bring to one run?

    python benchmarks/ranks.py  ->  benchmarks/results/ranks.md

`flipbook train` itself, through torchrun on this machine's processor, one thread a process, on the
embedded model and generated clips, with features that an earlier run has stored. Runs with one
process and with several take turns; questions a second are those of the log.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from flipbook.data.generated.write import write_generated_data
from measuring import circumstances, table, write_page

RESULT_FILE = Path(__file__).parent / "results" / "ranks.md"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--smoke", action="store_true", help="one short run, without a result file")
    given = parser.parse_args(words)
    if given.smoke:
        given.processes, given.repetitions, given.steps = [1], 1, 3
    rates: dict[int, list[float]] = {number: [] for number in given.processes}
    with tempfile.TemporaryDirectory() as folder:
        data = write_generated_data(
            Path(folder) / "data", clips_per_task=4 if given.smoke else 60, seed=0
        ).train
        for turn in range(given.repetitions + 1):
            for number in given.processes:
                run = Path(folder) / f"run-{turn}-{number}"
                rate = questions_a_second(run, data, processes=number, steps=given.steps)
                if turn or given.smoke:  # the first turn fills the store
                    rates[number].append(rate)
    one = statistics.median(rates[given.processes[0]])
    rows = [
        [number, one_rate, one_rate / one]
        for number, one_rate in ((n, statistics.median(all_)) for n, all_ in rates.items())
    ]
    lines = [
        "# Processes of one run",
        "",
        circumstances(),
        "The embedded model, 8 frames of 128 px, 2,048 tokens a batch, stored features, gloo; "
        f"medians of {given.repetitions} runs of {given.steps} steps that took turns.",
        "",
        *table(["processes", "questions a second", "times one process"], rows),
        "",
    ]
    print("\n".join(lines))
    if not given.smoke:
        write_page(RESULT_FILE, lines)
    return 0


def questions_a_second(run: Path, data: Path, *, processes: int, steps: int) -> float:
    """Return how many questions a run learned from in a second."""
    flags = {
        "data_path": data,
        "output_dir": run,
        "num_video_frames": 8,
        "frame_size": 128,
        "max_batch_tokens": 2048,
        "frame_features": "store",
        "max_steps": steps,
        "logging_steps": 1,
        "dataloader_num_workers": 0,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
    }
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *launch, "-m", "flipbook", "train"]
    command += [f"--{name}={value}" for name, value in flags.items()]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(run.parent)}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return float([line for line in lines if "loss" in line][-1]["samples_per_s"])


if __name__ == "__main__":
    raise SystemExit(main())
