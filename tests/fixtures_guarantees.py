"""Which guarantees do the tests of a run prove?

@pytest.mark.guarantee(3), docs/guarantees.md  ->  --guarantee_table FILE: a line for each guarantee
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

GUARANTEES_PAGE = Path(__file__).parents[1] / "docs" / "guarantees.md"
OUTCOMES = ("passed", "failed", "error", "skipped")
_HEADING = re.compile(r"^## (\d+)\. (.+)$", re.MULTILINE)


def guarantees_of(page: str) -> dict[int, str]:
    """Return the guarantees of the page by their numbers."""
    return {int(number): title for number, title in _HEADING.findall(page)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--guarantee_table", type=Path, help="where to write which are proven")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # properties go from the process of a test to the one that reports
        for marker in item.iter_markers("guarantee"):
            item.user_properties.append(("guarantee", marker.args[0]))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    path: Path | None = config.getoption("--guarantee_table")
    if path is None:
        return
    counts: dict[int, Counter[str]] = {}
    seconds: Counter[int] = Counter()
    for outcome in OUTCOMES:
        for report in terminalreporter.stats.get(outcome, []):
            for number in {n for name, n in report.user_properties if name == "guarantee"}:
                counts.setdefault(number, Counter())[outcome] += 1
                seconds[number] += report.duration
    lines = ["| guarantee | passed | failed | skipped | minutes |", "|---|---:|---:|---:|---:|"]
    for number, title in guarantees_of(GUARANTEES_PAGE.read_text("utf-8")).items():
        own = counts.get(number, Counter())
        failed = own["failed"] + own["error"]
        lines.append(
            f"| {number}. {title} | {own['passed']} | {failed} | {own['skipped']} "
            f"| {seconds[number] / 60:.1f} |"
        )
    title = "# Which guarantees were proven in one run\n\n"
    told = (
        f"`bash scripts/test.sh --slow`, on {os.cpu_count()} cores; minutes are those of all "
        "processes together. docs/guarantees.md tells what each guarantee is.\n\n"
    )
    path.write_text(title + told + "\n".join(lines) + "\n", encoding="utf-8")
