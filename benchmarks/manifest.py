"""What does it cost to open a manifest of a million records?

    python benchmarks/manifest.py [--sizes 10000 100000 1000000]  ->  benchmarks/results/manifest.md

Records are generated, eight questions about each clip, and each clip is a small file. Every step
runs in a process of its own that loads the libraries and the embedded model's tokenizer first;
memory is what the step needs beyond that. Anonymous memory is the process's own; pages of the table
that is mapped from disk stand beside it, and the system takes them back when it needs room.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets
import numpy as np

from flipbook.data.encoder import ConversationEncoder
from flipbook.data.records import read_records
from flipbook.data.tables.opening import num_cores, open_table
from flipbook.model.checkpoint import load_checkpoint
from flipbook.video.settings import ClipSettings
from hardware import processor

RESULT_FILE = Path(__file__).parent / "results" / "manifest.md"
QUESTIONS_PER_CLIP = 8
CLIPS_PER_FOLDER = 1000
NUM_READ = 5000
STEPS = ("first", "second", "read", "list")
WORDS = ["a", "person", "takes", "the", "red", "cup", "from", "table", "and", "walks", "away"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", help="where files are generated; a temporary one if not given")
    parser.add_argument("--step", choices=STEPS, help="one step alone, on a manifest that is there")
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(take_step(arguments.step, Path(arguments.folder))))
        return
    results = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for size in arguments.sizes:
            place = Path(folder) / str(size)
            generate(place, size)
            results.append({"size": size} | {step: in_fresh_process(step, place) for step in STEPS})
            results[-1]["manifest_mb"] = (place / "records.jsonl").stat().st_size / 1e6
            results[-1]["table_mb"] = sum(f.stat().st_size for f in table_files(place)) / 1e6
            print(json.dumps(results[-1]), flush=True)
    RESULT_FILE.write_text(page(results))
    print(f"written to {RESULT_FILE}")


def generate(folder: Path, num_records: int) -> None:
    """Write small files under the names of clips, and a manifest that asks about them."""
    random = np.random.default_rng(0)
    phrases = [" ".join(random.choice(WORDS, size)) for size in random.integers(6, 30, 5000)]
    folder.mkdir(parents=True)
    with (folder / "records.jsonl").open("w") as manifest:
        for number in range(num_records):
            clip = number // QUESTIONS_PER_CLIP
            name = f"clips/{clip // CLIPS_PER_FOLDER:04}/{clip:07}.mp4"
            if number % QUESTIONS_PER_CLIP == 0:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(b"no picture")
            question, answer = (phrases[place] for place in random.integers(0, len(phrases), 2))
            turns = [
                {"from": "human", "value": f"<video>\nWhat is said of {question}?"},
                {"from": "gpt", "value": f"{answer} {number}."},
            ]
            row = {"id": f"{clip}-{number}", "video": name, "conversations": turns}
            manifest.write(json.dumps(row) + "\n")


def in_fresh_process(step: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def take_step(step: str, folder: Path) -> dict[str, float]:
    """Return what one step costs, in s and MB."""
    tokenizer = load_checkpoint("tiny").tokenizer
    encoder = ConversationEncoder(tokenizer, ClipSettings(frame_size=256, num_frames=8), 4096)
    encoder.fingerprint()
    manifest = str(folder / "records.jsonl")
    if step == "list":
        return watched(lambda: read_records(manifest))

    def opened() -> Any:
        return open_table(
            manifest, image_folder=None, encoder=encoder, cache_folder=folder / "tables"
        )

    if step != "read":
        return watched(opened)
    table = opened()
    chosen = np.random.default_rng(1).integers(0, len(table), NUM_READ).tolist()
    cost = watched(lambda: [table[index].record_id for index in chosen])
    return cost | {"ms_each": 1000 * cost["s"] / NUM_READ}


def watched(act: Any) -> dict[str, float]:
    """Return seconds, and by how many MB the process grew at its highest."""
    before = memory_mb()
    highest = dict(before)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for kind, size in memory_mb().items():
                highest[kind] = max(highest[kind], size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, start_cpu = time.perf_counter(), time.process_time()
    result = act()
    seconds, own_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    done.set()
    watcher.join()
    kept = memory_mb()
    del result
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "s": seconds,
        "cpu_s": own_cpu + children.ru_utime + children.ru_stime,
        "base_mb": before["RssAnon"],
        "peak_mb": max(highest["RssAnon"], kept["RssAnon"]) - before["RssAnon"],
        "kept_mb": kept["RssAnon"] - before["RssAnon"],
        "mapped_mb": max(highest["RssFile"], kept["RssFile"]) - before["RssFile"],
        "worker_mb": children.ru_maxrss / 1024,
    }


def memory_mb() -> dict[str, float]:
    """Return what Linux says of this process: its own memory, and pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Rss")}
    return {kind: int(sizes[kind]) / 1024 for kind in ("RssAnon", "RssFile")}


def table_files(folder: Path) -> list[Path]:
    return list((folder / "tables").glob("*.arrow"))


def page(results: list[dict[str, Any]]) -> str:
    base = results[0]["second"]["base_mb"]
    return "\n".join([
        "# Opening a manifest",
        "",
        f"{datetime.date.today()}, {processor()}; Python {platform.python_version()}, "
        f"datasets {datasets.__version__}, {num_cores()} worker processes.",
        f"{QUESTIONS_PER_CLIP} questions a clip, 8 frames of 256 px; small files stand for clips. "
        "The time of a record is CPU time, of all processes together.",
        f"Memory in MB beyond the {base:.0f} MB of libraries and tokenizer.",
        "",
        "| records | manifest, MB | table, MB | first opening, s | its CPU time, s | ms a record "
        "| second opening, s | its CPU time, s | one conversation, ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(times_row(result) for result in results),
        "",
        "| records | first: peak | second: peak | kept open | reading: own | reading: mapped "
        "| as a list of records: s | peak |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(memory_row(result) for result in results),
        "",
        "First opening: every conversation is encoded once, in worker processes (each up to "
        f"{max(result['first']['worker_mb'] for result in results):.0f} MB, most of it shared "
        "with the process that began it). Second: the table is read back, its hash is compared, "
        "and each clip is looked for. Reading: 5,000 conversations at random; mapped pages are "
        "those of the table's file, which the system takes back when it needs room. The list is "
        "what `read_records` returns, without any lengths.",
        "",
        "Printed by `python benchmarks/manifest.py`.",
        "",
    ])  # fmt: skip


def times_row(result: dict[str, Any]) -> str:
    first, second, read = (result[step] for step in ("first", "second", "read"))
    return (
        f"| {result['size']:,} | {result['manifest_mb']:.0f} | {result['table_mb']:.0f} "
        f"| {first['s']:.1f} | {first['cpu_s']:.1f} | {1000 * first['cpu_s'] / result['size']:.2f} "
        f"| {second['s']:.2f} | {second['cpu_s']:.2f} | {read['ms_each']:.2f} |"
    )


def memory_row(result: dict[str, Any]) -> str:
    first, second, read, listed = (result[step] for step in STEPS)
    return (
        f"| {result['size']:,} | {first['peak_mb']:.0f} | {second['peak_mb']:.0f} "
        f"| {second['kept_mb']:.0f} | {read['peak_mb']:.0f} | {read['mapped_mb']:.0f} "
        f"| {listed['s']:.1f} | {listed['peak_mb']:.0f} |"
    )


if __name__ == "__main__":
    main()
