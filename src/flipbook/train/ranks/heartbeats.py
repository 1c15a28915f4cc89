"""Where is each of the processes that train together, as far as the others can see?

    step, phase, records  ->  RUN/ranks/rank-R.json, written by each process
    all of these          ->  in words: who was seen last where, those that are behind first

A process that waits for another cannot ask it. So each writes down what it begins, before it does.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from flipbook.data.turns import Media
from flipbook.data.workers.working import names
from flipbook.errors import one_line

FOLDER = "ranks"
MOST_RECORDS = 64  # of a batch, in a file
PHASES = ("reading", "learning", "evaluating", "saving", "finishing")  # of a step, in their order
LOOKS_PER_LIMIT = 20


class Heartbeats:
    """Writes where this process is, and reads where the others are.

    Args:
        run_folder: of the run, which all processes see.
        rank: number of this process.
        num_ranks: how many there are.
    """

    def __init__(self, run_folder: Path, *, rank: int, num_ranks: int) -> None:
        self.folder = run_folder / FOLDER
        self.rank = rank
        self.num_ranks = num_ranks
        self._now: dict[str, Any] = {"rank": rank, "beat": 0}
        self._seen: dict[int, tuple[Any, float]] = {}  # of each, its last beat and when it was new
        self.folder.mkdir(parents=True, exist_ok=True)

    def beat(self, phase: str, *, step: int, records: Sequence[str] = ()) -> None:
        """Write down what this process begins.

        Args:
            step: that it has done.
            records: of its batches.
        """
        self._now |= {"step": step, "phase": phase, "records": list(records[:MOST_RECORDS])}
        self._now |= {"num_records": len(records), "reads": "", "file": ""}
        self._write()

    def hear(self, record: str, item: Media | None) -> None:
        """Write down what this process reads itself, where it has no workers."""
        self._now |= {"reads": record, "file": "" if item is None else item.path}
        self._write()

    def look(self) -> dict[int, float]:
        """Return for how many seconds each process has given no sign, as this one sees it."""
        now_s = time.monotonic()
        for rank in range(self.num_ranks):
            sign = self._read(rank).get("beat")
            if rank not in self._seen or self._seen[rank][0] != sign:
                self._seen[rank] = (sign, now_s)
        return {rank: now_s - since_s for rank, (_, since_s) in self._seen.items()}

    def told(self, ranks: Sequence[int] | None = None) -> str:
        """Return where processes were seen last, those that are behind first; all others if None.

        A process that reads, or is at an earlier step, keeps those waiting that are further.
        """
        others = [rank for rank in range(self.num_ranks) if rank != self.rank]
        found = [self._read(rank) for rank in (others if ranks is None else ranks)]
        return " ".join(_in_words(one) for one in sorted(found, key=_how_far))

    def _write(self) -> None:
        self._now |= {"beat": self._now["beat"] + 1, "at": time.time(), "pid": os.getpid()}
        path = self.folder / f"rank-{self.rank}.json"
        staged = path.with_suffix(".partial")
        with suppress(OSError):  # no sign is no reason to stop
            staged.write_text(json.dumps(self._now), encoding="utf-8")
            staged.replace(path)

    def _read(self, rank: int) -> dict[str, Any]:
        try:
            text = (self.folder / f"rank-{rank}.json").read_text(encoding="utf-8")
            found = json.loads(text)
        except (OSError, ValueError):
            found = {}
        return {"rank": rank} | (found if isinstance(found, dict) else {})


class Watch:
    """Looks from time to time whether all processes give signs; a thread of its own.

    It tells where the library would end the process without a word, as it does where GPUs wait for
    each other.

    Args:
        beats: of this process.
        limit_s: how long a process may give no sign while this one gives none either.
        on_silence: is told which ones gave none, once.
    """

    def __init__(
        self, beats: Heartbeats, *, limit_s: float, on_silence: Callable[[list[int]], None]
    ) -> None:
        self._beats = beats
        self._limit_s = limit_s
        self._on_silence = on_silence
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="flipbook-ranks", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(min(self._limit_s / LOOKS_PER_LIMIT, 10.0)):
            silent_s = self._beats.look()
            own_s = silent_s[self._beats.rank]
            silent = [rank for rank, s in silent_s.items() if s > self._limit_s]
            if silent and own_s > self._limit_s / 2:  # this one is waiting, too
                self._on_silence(silent)
                return


def _how_far(found: dict[str, Any]) -> tuple[int, int]:
    phase = found.get("phase")
    return found.get("step", -1), PHASES.index(phase) if phase in PHASES else -1


def _in_words(found: dict[str, Any]) -> str:
    rank = found["rank"]
    if "phase" not in found:
        return f"Process {rank} has never told where it is."
    ago_s = max(0.0, time.time() - found["at"])
    records = names(found["records"])
    of = f", records {records}" if records else ""
    reads = f"; it was reading record {one_line(found['reads'])}" if found["reads"] else ""
    file = f", file {one_line(found['file'])}" if found["file"] else ""
    return (
        f"Process {rank} was seen {ago_s:.0f} s ago {found['phase']} after step {found['step']}"
        f"{of}{reads}{file}."
    )
