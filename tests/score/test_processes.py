"""Do several processes get the results, and the error, that one would?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flipbook.errors import DataError
from flipbook.score.processes import from_first, in_all, num_processes, this_process

PROGRAM = """
import json, os, sys
from flipbook.errors import DataError
from flipbook.score.processes import *
def work(piece):
    if piece in json.loads(sys.argv[1]):
        raise DataError(f"piece {piece} is bad")
    return piece * 10, os.environ["RANK"]
told = []
assert num_processes() == 1
with joined_processes():
    with joined_processes():
        pass  # the group is that of the outer one, which leaves it
    try:
        found = in_all(range(5), work, on_done=told.append)
    except DataError as error:
        found = str(error)
    alone = [rank for _, rank in in_all(range(2), lambda p: (p, this_process()), divided=False)]
    first = from_first(lambda: os.environ["RANK"])
    with open(f"{sys.argv[2]}/{this_process()}.json", "w") as file:
        json.dump([found, told, alone, first, num_processes()], file)
assert num_processes() == 1
"""


def run_two(tmp_path: Path, bad: list[int]) -> list[list[object]]:
    shared = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(29000 + os.getpid() % 999),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(bad), str(tmp_path)],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait() for process in processes] == [0, 0]
    return [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_share_the_pieces_and_get_all_results(tmp_path: Path) -> None:
    found = run_two(tmp_path, [])
    for rank, (results, told, alone, first, width) in enumerate(found):
        assert results == [[0, "0"], [10, "1"], [20, "0"], [30, "1"], [40, "0"]]
        assert told == [[2, 4, 5], [2, 4]][rank]
        assert alone == [rank, rank]
        assert first == "0"
        assert width == 2


def test_the_first_error_is_raised_in_every_process(tmp_path: Path) -> None:
    found = run_two(tmp_path, [3, 2])
    assert [results for results, *_ in found] == ["piece 2 is bad"] * 2


def test_one_process_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    assert in_all([1, 2], lambda piece: -piece, on_done=told.append) == [-1, -2]
    assert (told, this_process(), num_processes()) == ([1, 2], 0, 1)
    assert from_first(lambda: 3) == 3

    def fail() -> int:
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        from_first(fail)
