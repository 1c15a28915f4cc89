from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures_kills import dies_at
from fixtures_limits import largest_file
from flipbook.train.lines import add_line, keep_until


def _write(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.guarantee(1)
def test_lines_that_come_again_or_are_torn_go(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "log.jsonl",
        '{"step": 1}\n',
        '{"step": 2, "train_runtime": 3.0}\n',
        '{"st\n',
        "[]\n",
        '{"step": 2, "text": "a\u2028b"}\n',
        '{"step": 3}\n',
        '{"step": 2}',
    )
    keep_until(path, 2)
    assert _steps(_write(path, path.read_text(encoding="utf-8").replace("\u2028", " "))) == [1, 2]
    keep_until(tmp_path / "none.jsonl", 2)
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]


@pytest.mark.guarantee(1)
def test_a_kill_while_a_log_is_repaired_loses_no_line(tmp_path: Path) -> None:
    path, event = tmp_path / "log.jsonl", 1
    lines = [f'{{"step": {step}}}\n' for step in range(4)]
    _write(path, *lines)
    while dies_at(event, lambda: keep_until(path, 2)):
        event += 1
        assert _steps(path)[:3] == [0, 1, 2]
        _write(path, *lines)
    assert event > 3


@pytest.mark.guarantee(1)
def test_a_full_disk_takes_a_line_and_not_the_run(tmp_path: Path) -> None:
    path = _write(tmp_path / "log.jsonl", '{"step": 1}\n')
    assert add_line(path, '{"step": 2}\n') is None
    with largest_file(path.stat().st_size + 3):
        told = add_line(path, '{"step": 3}\n')
    assert told is not None
    assert "log.jsonl cannot be written to (File too large), so lines are missing there" in told
    assert _steps(path) == [1, 2]
