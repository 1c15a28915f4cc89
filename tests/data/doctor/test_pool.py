"""A file that hangs, crashes or swells costs itself and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import psutil
import pytest
from pebble import ProcessExpired

import fixtures_endings
from flipbook.data.doctor import pool as pools
from flipbook.data.doctor.examine import Examined
from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.pool import is_lasting, run_in_pool, verdict_on
from flipbook.data.turns import Media
from flipbook.errors import WorkerError

NAMES = ("one", "hang", "two", "die", "fail", "odd", "die 2", "swell", "three")


def items(*names: str) -> Iterator[Media]:
    return (Media("video", f"/clips/{name}.mp4") for name in names)


def test_each_end_costs_one_file() -> None:
    found = dict(
        run_in_pool(
            fixtures_endings.end_as_named,
            items(*NAMES),
            num_workers=2,
            timeout_s=6.0,
            room_bytes=fixtures_endings.BYTES_TOO_MANY // 2,
        )
    )
    assert {item.path for item in found} == {item.path for item in items(*NAMES)}
    faults = {Path(item.path).stem: one.fault for item, one in found.items()}
    codes = {name: fault.code for name, fault in faults.items() if fault is not None}
    assert codes == {
        "hang": "hanging",
        "die": "crashed",
        "die 2": "crashed",
        "fail": "crashed",
        "odd": "crashed",
        "swell": "memory",
    }
    assert {found[item].num_frames for item in items("one", "two", "three")} == {3, 5}
    reasons = {name: fault.reason for name, fault in faults.items() if fault is not None}
    assert "not read within 6 s" in reasons["hang"] and "--file_timeout_s" in reasons["hang"]
    assert "ended the process that read it (SIGSEGV)" in reasons["die"]
    assert "failed (ValueError: a fault that nobody expects)" in reasons["fail"]
    assert "failed (UnsendableError: 1 and 2)" in reasons["odd"]
    assert "more than 4 GiB of memory" in reasons["swell"]


def test_closing_it_ends_the_processes() -> None:
    work = fixtures_endings.end_as_named
    results = run_in_pool(work, items("one", "hang", "hang 2"), num_workers=2, timeout_s=60.0)
    assert next(results)[1].num_frames == 3
    results.close()
    running = [child.name() for child in psutil.Process().children(recursive=True)]
    assert not [name for name in running if "pebble" in name]


class BrokenPool:
    """A pool of which the first task is lost."""

    made = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        BrokenPool.made += 1

    def schedule(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("Unexpected error within the Pool")

    def stop(self) -> None:
        pass

    def join(self) -> None:
        pass


def test_a_pool_that_breaks_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pools, "ProcessPool", BrokenPool)
        results = run_in_pool(
            fixtures_endings.end_as_named, items("one", "two"), num_workers=1, timeout_s=1.0
        )
        with (
            caplog.at_level(logging.WARNING),
            pytest.raises(WorkerError, match="--num_workers 1.*__main__"),
        ):
            next(results)
    assert BrokenPool.made == pools.MOST_BROKEN
    assert "they begin anew" in caplog.text


def test_what_a_broken_pool_held_is_read_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    number = iter(range(2))

    def results(_pool: Any, _work: Any, items: Any, handed: Any, **_: Any) -> Iterator[Any]:
        handed[next(items)] = None
        if next(number) == 0:
            raise BrokenProcessPool("gone")
        while handed or (item := next(items, None)) is not None:
            item = handed.popitem()[0] if handed else item
            yield item, Examined()

    monkeypatch.setattr(pools, "ProcessPool", BrokenPool)
    monkeypatch.setattr(pools, "_results", results)
    work = fixtures_endings.end_as_named
    found = list(run_in_pool(work, items("one", "two"), num_workers=1, timeout_s=1.0))
    assert [item for item, _ in found] == list(items("one", "two"))


def test_only_what_lasts_is_remembered() -> None:
    (item,) = items("one")
    own = verdict_on(ProcessExpired("ended", code=-11), item, timeout_s=1.0)
    outside = verdict_on(ProcessExpired("ended", code=-9), item, timeout_s=1.0)
    assert is_lasting(own) and not is_lasting(outside)
    assert outside.fault is not None and "may have run out of memory" in outside.fault.reason
    assert is_lasting(Examined()) and is_lasting(Examined(fault=Finding("damaged", "is damaged")))
    for code, words in [(3, "exit code 3"), (-200, "signal 200")]:
        found = verdict_on(ProcessExpired("ended", code=code), item, timeout_s=1.0)
        assert found.fault is not None and words in found.fault.reason and not is_lasting(found)
