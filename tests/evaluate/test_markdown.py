"""The report in words says the same as the page, and shows hostile text as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures_html import read_html
from fixtures_report import HOSTILE, write_report_files
from flipbook.evaluate.markdown import escaped, write_markdown
from flipbook.evaluate.page.write import write_report_page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files."""
    return write_report_files(tmp_path_factory.mktemp("report"), num_of_task=2, num_in_gallery=1)


@pytest.fixture(scope="module")
def text(folder: Path) -> str:
    """The report of all files."""
    path = write_markdown(folder)
    assert path == folder / "report.md"
    return path.read_text("utf-8")


def test_sections_stand_in_their_order(text: str) -> None:
    assert re.findall("^## (.*)$", text, re.MULTILINE) == [
        "Scores",
        "By task",
        "By kind of question",
        "Cost",
        "Frames against score",
        "Data",
    ]


def test_verdict_and_headline_numbers_come_first(text: str) -> None:
    head = text.split("## ")[0]
    assert "it uses the order of frames." in head
    assert "- gain by tuning: **+0.440** ([0.350,\u00a00.530], p\u00a0<\u00a00.001, from" in head


def test_tables_are_whole(text: str) -> None:
    for block in text.split("\n\n"):
        if block.startswith("|"):
            lengths = {len(line) for line in block.splitlines()}
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(lengths) == 1, block
            assert len(bars) == 1, block


def test_every_number_of_the_page_is_in_the_text(folder: Path, text: str) -> None:
    page = read_html(write_report_page(folder).read_text("utf-8"))
    shown = [
        cell.text
        for name in ("scores", "tasks", "kinds", "cost", "sweep")
        for cell in page.one("section", id=name).all("td")
        if "heat" not in str(cell.attributes) and cell.text
    ]
    assert len(shown) > 100
    for number in shown:
        assert number in text or escaped(number) in text


def test_without_other_files_the_scores_alone_are_told(folder: Path, tmp_path: Path) -> None:
    for name in ("scores.json", "predictions.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    text = write_markdown(tmp_path).read_text("utf-8")
    assert "## By task" in text
    assert "## Cost" not in text
    assert "## Data" not in text


def test_the_data_are_those_of_the_run(folder: Path, tmp_path: Path) -> None:
    for name in ("scores.json", "predictions.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert "## Data" in write_markdown(tmp_path, run_folder=folder).read_text("utf-8")


def test_text_of_the_data_is_no_markdown(text: str) -> None:
    assert escaped(HOSTILE[5]) == r"first line second line \| pipe \`tick\` \*star\*"
    assert escaped("[a](b) # _c_ <d>") == r"\[a\](b) \# \_c\_ \<d\>"
    assert "<script>" not in text
    assert r"\<script\>" in text
