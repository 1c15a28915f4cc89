"""How are several ways of doing one thing compared, on a machine that is not quiet?

    ways, repetitions -> median seconds of each, measured in turns
    command           -> the most memory that a fresh process of it held

Ratios of times that were taken in turns hold where other programs come and go; the times themselves
may not. CPU time counts, on one thread, unless a clock is given.
"""

from __future__ import annotations

import ctypes
import datetime
import gc
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from hardware import processor

Way = Callable[[], object]
STATUS_FILE = Path("/proc/self/status")


def in_turns(
    ways: Mapping[str, Way], *, repetitions: int, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Return the median seconds of each way; one more round before them warms caches up."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for repetition in range(repetitions + 1):
        for name, run in ways.items():
            start = clock()
            run()
            if repetition:
                spent[name].append(clock() - start)
    return {name: statistics.median(times) for name, times in spent.items()}


def held_mb() -> tuple[float, float]:
    """Return the MB of memory that this process holds now, and the most that it ever held."""
    sizes = dict(line.split(":", 1) for line in STATUS_FILE.read_text().splitlines())
    now, most = (int(sizes[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM"))
    return now, most


def forget_peak() -> None:
    """Give back what is free, and let the most that this process held be counted from now on."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def in_fresh_process(script: str, *words: str) -> list[float]:
    """Return the numbers in the last line that `python script words` prints."""
    run = subprocess.run(
        [sys.executable, script, *words], check=True, stdout=subprocess.PIPE, text=True
    )
    return [float(word) for word in run.stdout.splitlines()[-1].split()]


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the lines of a Markdown table; floats get a width that suits their size."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines]


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def circumstances(**versions: str) -> str:
    """Return when and on what a benchmark ran, as one line of its page."""
    listed = {
        "Python": platform.python_version(),
        "torch": f"{torch.__version__} ({torch.backends.cpu.get_cpu_capability()})",
        **versions,
    }
    told = ", ".join(f"{name} {version}" for name, version in listed.items())
    return f"{datetime.date.today()}, {processor()}, one thread; {told}."


def write_page(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([*lines, ""]))
    print(f"written to {path}")
