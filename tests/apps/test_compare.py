"""`flipbook compare` finds the answers of two models and says which is better."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fixtures_predictions import share
from flipbook.apps.compare import find_predictions
from flipbook.cli import main
from flipbook.errors import ArgumentError
from flipbook.evaluate.predictions_file import write_predictions


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """A run that was scored, and a model with a folder of its evaluation; 40 and 42 questions."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, num_right, num_questions in ((first, 20, 40), (second / "evaluation", 36, 42)):
        folder.mkdir(parents=True)
        rows = {"untuned": share(10, num_questions), "tuned": share(num_right, num_questions)}
        write_predictions(folder / "predictions.jsonl", rows)
    return first, second


def test_it_says_which_is_better(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, runs)]) == 0
    text = capsys.readouterr().out
    assert f"A  {runs[0]}/predictions.jsonl" in text
    assert "2 of its questions are not in the other, and are left out" in text
    assert "Row tuned: 40 questions about 40 videos" in text
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["mean over tasks"][3:6] == ["0.500", "0.900", "+0.400"]
    assert rows["order"][-2:] == ["<0.001", "40"]
    assert "measures, open" in text
    assert "corrected for their number (Holm)" in text
    assert "\nB is better: 0.900 against 0.500 (difference +0.400" in text


def test_another_row_may_be_compared(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, runs), "--row", "untuned"]) == 0
    text = capsys.readouterr().out
    assert "cannot tell which is better" in text


def test_the_numbers_may_be_kept(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "compared.json"
    assert main(["compare", *map(str, runs), "--out", str(out)]) == 0
    content = json.loads(out.read_text(encoding="utf-8"))
    assert content["a"] == str(runs[0] / "predictions.jsonl")
    assert content["row"] == "tuned"
    assert content["mean"]["value"] == pytest.approx(0.4)
    assert content["only_in_b"] == 2
    assert f"numbers  {out}" in capsys.readouterr().out


def test_a_line_fits_a_terminal(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["compare", *map(str, runs)])
    table = capsys.readouterr().out.split("\n\n")[2]
    assert max(len(line) for line in table.splitlines()) <= 80
    assert "…" not in table


def test_runs_folders_and_files_are_found(runs: tuple[Path, Path]) -> None:
    evaluation = runs[1] / "evaluation"
    for name in (runs[1], evaluation, evaluation / "predictions.jsonl"):
        assert find_predictions(str(name)) == evaluation / "predictions.jsonl"


def test_a_folder_without_predictions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"holds no predictions.jsonl. Give a run that was"):
        find_predictions(str(tmp_path))


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (["--row", "shufled"], r"--row is 'shufled'; known are .* Did you mean 'shuffled'\?", 2),
        (
            ["--row", "blank"],
            r"has no row 'blank'; it has untuned, tuned. Choose one with --row",
            2,
        ),
        (
            ["--out", "/no/such/folder/x.json"],
            r"--out /no/such/folder/x.json: cannot be written",
            5,
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    runs: tuple[Path, Path],
    words: list[str],
    told: str,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compare", *map(str, runs), *words]) == code
    assert re.search(told, capsys.readouterr().err)
