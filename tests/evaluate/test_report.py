"""Do the files and the table say what was measured, whole or not at all?"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from flipbook.evaluate import report
from flipbook.evaluate.report import ROWS, print_report, score_rows, write_report
from flipbook.evaluate.scoring import Prediction


def prediction(task: str | None, *, correct: bool) -> Prediction:
    return Prediction(
        record_id=f"clip of {task}",
        task=task,
        question="Où va-t-il ?",
        reference="left",
        answer="left" if correct else "right",
        correct=correct,
    )


@pytest.fixture
def predictions() -> dict[str, list[Prediction]]:
    right = [prediction("order", correct=True), prediction("count", correct=True)]
    half = [prediction("order", correct=True), prediction("count", correct=False)]
    return {row: right if row == "tuned" else half for row in reversed(ROWS)}


def test_scores_json_has_a_mean_and_a_value_per_task(
    predictions: dict[str, list[Prediction]], tmp_path: Path
) -> None:
    write_report(tmp_path / "run", predictions=predictions, provenance={"seed": 42})
    content = json.loads((tmp_path / "run" / "scores.json").read_text(encoding="utf-8"))
    assert content["tuned"] == {"mean": 1.0, "order": 1.0, "count": 1.0}
    assert content["shuffled"] == {"mean": 0.5, "order": 1.0, "count": 0.0}
    assert content["num_questions"]["tuned"] == {"order": 1, "count": 1}
    assert content["provenance"] == {"seed": 42}
    assert content["verdict"].startswith("The tuned model answers 1.00")
    assert list(content)[: len(ROWS)] == list(ROWS)


def test_every_answer_is_kept(predictions: dict[str, list[Prediction]], tmp_path: Path) -> None:
    write_report(tmp_path, predictions=predictions, provenance={})
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line) for line in lines]
    assert len(answers) == 2 * len(ROWS)
    assert answers[0] == {
        "row": "untuned",
        "record_id": "clip of order",
        "task": "order",
        "question": "Où va-t-il ?",
        "reference": "left",
        "answer": "left",
        "correct": True,
    }


def test_nothing_but_the_two_files_is_left(
    predictions: dict[str, list[Prediction]], tmp_path: Path
) -> None:
    for _ in range(2):
        write_report(tmp_path, predictions=predictions, provenance={})
    assert {path.name for path in tmp_path.iterdir()} == {"scores.json", "predictions.jsonl"}


def test_a_failed_write_leaves_the_old_file(
    predictions: dict[str, list[Prediction]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path, predictions=predictions, provenance={"seed": 1})

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, predictions=predictions, provenance={"seed": 2})
    assert {path.name for path in tmp_path.iterdir()} == {"scores.json", "predictions.jsonl"}
    content = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert content["provenance"] == {"seed": 1}


def test_the_table_tells_what_each_row_means(predictions: dict[str, list[Prediction]]) -> None:
    output = io.StringIO()
    console = Console(file=output, width=80)
    print_report(score_rows(predictions), console=console)
    text = output.getvalue()
    for row, meaning in ROWS.items():
        assert row in text
        assert meaning in text
    assert "The tuned model answers 1.00" in text
    assert "\nAccuracy by task, still images\n" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown rows \['shufled'\]"):
        score_rows({"shufled": [prediction("order", correct=True)]})


def test_a_task_that_a_row_does_not_have_is_left_empty() -> None:
    table = report.tasks_table(
        score_rows(
            {
                "tuned": [prediction("order", correct=True)],
                "blank": [prediction("count", correct=True)],
            }
        )
    )
    assert list(table.columns[1].cells) == ["1.000", "", "1.000"]
    assert list(table.columns[2].cells) == ["", "1.000", "1.000"]
