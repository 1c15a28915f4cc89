"""What do processes that train together tell each other, and what is told of one that is stuck?"""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from flipbook.data.turns import Media
from flipbook.errors import DataError, WorkerError
from flipbook.train.ranks import failing
from flipbook.train.ranks.failing import beat, in_company, join_on_cpu, with_heartbeats
from flipbook.train.ranks.heartbeats import Heartbeats, Watch


def make_two(folder: Path) -> list[Heartbeats]:
    return [Heartbeats(folder, rank=rank, num_ranks=2) for rank in range(2)]


def test_the_one_that_is_behind_is_told_first_with_its_records(tmp_path: Path) -> None:
    first, second = make_two(tmp_path)
    first.beat("learning", step=4, records=["a", "b"])
    second.beat("reading", step=4)
    second.hear("c", Media("video", "/clips/c.mp4"))
    told = first.told([0, 1])
    assert told.index("Process 1 was seen") < told.index("Process 0 was seen")
    assert "0 s ago reading after step 4; it was reading record c, file /clips/c.mp4." in told
    assert "learning after step 4, records a, b." in told
    assert "Process 0" not in first.told()


def test_a_process_that_never_told_and_a_torn_file_are_told_as_such(tmp_path: Path) -> None:
    first, second = make_two(tmp_path)
    assert first.told() == "Process 1 has never told where it is."
    (second.folder / "rank-1.json").write_text('{"rank": 1, "ph')
    assert first.told() == "Process 1 has never told where it is."


@pytest.mark.guarantee(8)
def test_silence_is_noticed_by_who_waits(tmp_path: Path) -> None:
    own, other = make_two(tmp_path)
    own.beat("learning", step=1)
    other.beat("reading", step=1)
    found: list[list[int]] = []
    is_told = threading.Event()

    def note(silent: list[int]) -> None:
        found.append(sorted(silent))
        is_told.set()

    watch = Watch(own, limit_s=0.2, on_silence=note)
    assert is_told.wait(60)
    watch.end()
    assert found == [[0, 1]]


def test_one_that_gets_on_does_not_mind_the_silence_of_others(tmp_path: Path) -> None:
    own, _ = make_two(tmp_path)
    looks = iter(range(5))
    is_over = threading.Event()

    def look() -> dict[int, float]:
        if next(looks, None) is None:
            is_over.set()
        return {0: 0.1, 1: 99.0}

    own.look = look  # type: ignore[method-assign]
    found: list[list[int]] = []
    watch = Watch(own, limit_s=0.4, on_silence=found.append)
    assert is_over.wait(60)
    watch.end()
    assert not found


def args_of(folder: Path, *, world_size: int = 2) -> Any:
    training = SimpleNamespace(
        output_dir=str(folder),
        world_size=world_size,
        process_index=0,
        ddp_timeout=9,
        media_timeout_s=0,
        device=torch.device("cpu"),
    )
    return SimpleNamespace(training=training)


@pytest.fixture
def stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process that failed not leave: it is the one that tests."""
    monkeypatch.setattr(failing, "_leave", lambda code: None)


@pytest.mark.guarantee(8)
def test_a_broken_connection_is_told_with_where_the_other_was(stays: None, tmp_path: Path) -> None:
    (tmp_path / "checkpoint-7").mkdir()
    Heartbeats(tmp_path, rank=1, num_ranks=2).beat("learning", step=8, records=["x"])

    @in_company
    def run(arguments: Any) -> None:
        with with_heartbeats(arguments.training):
            beat("reading", step=8)
            raise RuntimeError("[gloo/transport/tcp/pair.cc:538] Connection closed by peer")

    with pytest.raises(WorkerError) as caught:
        run(args_of(tmp_path))
    told = str(caught.value)
    (kept,) = caught.value.__notes__
    assert "left, or gave no answer for --ddp_timeout 9 s" in told
    assert "Process 1 was seen 0 s ago learning after step 8, records x." in told
    assert kept.startswith(f"Kept is {tmp_path / 'checkpoint-7'}, ")


@pytest.mark.guarantee(8)
def test_an_error_of_its_own_is_told_as_it_is_and_the_process_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    left: list[int] = []
    is_gone = threading.Event()

    def leave(code: int) -> None:
        left.append(code)
        is_gone.set()

    monkeypatch.setattr(failing, "_leave", leave)
    monkeypatch.setattr(failing, "LEAVES_S", 0.01)

    @in_company
    def run(arguments: Any) -> None:
        raise DataError("a row is wrong")

    with pytest.raises(DataError, match=r"^a row is wrong$"):
        run(args_of(tmp_path))
    assert is_gone.wait(60) and left == [3]


def test_one_process_alone_tells_nobody(tmp_path: Path) -> None:
    @in_company
    def run(arguments: Any) -> None:
        with with_heartbeats(arguments.training):
            beat("reading", step=1)
        raise RuntimeError("Connection closed by peer")

    with pytest.raises(RuntimeError, match="closed by peer"):
        run(args_of(tmp_path, world_size=1))
    assert not (tmp_path / "ranks").exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"use_cpu": False, "backend": None},
        {"use_cpu": True, "backend": "mpi"},
        {"use_cpu": True, "backend": None},
    ],
)
def test_who_is_alone_or_not_on_cpus_joins_nobody(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failing.distributed, "init_process_group", lambda *_, **__: 1 / 0)
    join_on_cpu(**asked, timeout_s=9)


@pytest.mark.guarantee(8)
def test_processes_on_cpus_wait_as_long_as_they_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    joined: list[float] = []
    monkeypatch.setattr(
        failing.distributed,
        "init_process_group",
        lambda backend, timeout: joined.append(timeout.total_seconds()),
    )
    for name, value in [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a")]:
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", "1")
    join_on_cpu(use_cpu=True, backend=None, timeout_s=9)
    assert joined == [9.0]
