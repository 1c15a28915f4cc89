"""`flipbook report` makes the page and the text of an evaluation from its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures_report import write_report_files, write_run_files
from flipbook.apps.report import report_folders
from flipbook.cli import main


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """A run that was scored."""
    return write_report_files(tmp_path / "run", num_of_task=1, num_in_gallery=1)


@pytest.fixture
def evaluated(tmp_path: Path) -> Path:
    """A run that was evaluated into a folder of its own."""
    run = tmp_path / "run"
    write_run_files(run)
    inner = write_report_files(tmp_path / "made", num_of_task=1, num_in_gallery=1)
    (run / "evaluation").mkdir()
    for name in ("scores.json", "predictions.jsonl"):
        (run / "evaluation" / name).write_bytes((inner / name).read_bytes())
    return run


def test_it_says_where_the_page_and_the_text_are(
    scored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(scored)]) == 0
    page, text = scored / "report.html", scored / "report.md"
    assert capsys.readouterr().out == f"page  {page}\ntext  {text}\n"
    assert "<h1><bdi>run</bdi>" in page.read_text("utf-8")
    assert text.read_text("utf-8").startswith("# run: report\n")


def test_old_reports_are_made_anew(scored: Path) -> None:
    (scored / "report.html").write_text("old")
    assert main(["report", str(scored)]) == 0
    assert 'id="training"' in (scored / "report.html").read_text("utf-8")


@pytest.mark.parametrize("named", ["run", "run/evaluation"])
def test_an_evaluation_is_shown_with_the_training_of_its_run(
    evaluated: Path, tmp_path: Path, named: str
) -> None:
    assert main(["report", str(tmp_path / named)]) == 0
    page = (evaluated / "evaluation" / "report.html").read_text("utf-8")
    assert 'id="training"' in page
    assert "<h1><bdi>run</bdi>" in page


def test_the_run_may_be_named(evaluated: Path, tmp_path: Path) -> None:
    write_run_files(tmp_path / "other")
    folders = report_folders(str(evaluated), run=str(tmp_path / "other"))
    assert folders == (evaluated / "evaluation", tmp_path / "other")


def test_an_evaluation_that_is_no_part_of_a_run_stands_alone(tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    assert report_folders(str(folder)) == (folder, folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{0}/none"], "none: there is no such folder. Name a run or an evaluation."),
        (["{0}", "--run", "{0}/none"], "--run .*none: there is no such folder."),
        (["{0}"], "holds no scores.json, so there is nothing to report."),
    ],
)
def test_a_folder_without_scores_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["report", *(word.format(tmp_path) for word in words)]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_place_that_cannot_be_written_to_is_named(
    scored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("flipbook.evaluate.markdown.write_whole", refuse)
    assert main(["report", str(scored)]) == 5
    assert "run cannot be written to (Read-only file system). Copy it" in capsys.readouterr().err
