"""Do the files and the table say what was measured, whole or not at all?"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fixtures_predictions import make_prediction
from flipbook.data.records import Turn
from flipbook.evaluate.cost import Cost, Spread
from flipbook.evaluate.file_names import (
    COST_FILE,
    GALLERY_FILE,
    PAGE_FILE,
    PREDICTIONS_FILE,
    SCORES_FILE,
    TEXT_FILE,
)
from flipbook.evaluate.report import Report, print_report, report_of, tasks_table, write_report
from flipbook.evaluate.rows import ROWS, STILL_IMAGES
from flipbook.score.prediction import Prediction
from flipbook.score.questions import AskedQuestion
from flipbook.score.scores import score_of

ALWAYS = {PREDICTIONS_FILE, SCORES_FILE, PAGE_FILE, TEXT_FILE}
SPREAD = Spread(median=30.0, low=20.0, high=40.0)
COST = Cost(
    device="cpu, 2 threads",
    dtype="float32",
    num_questions=4,
    frames=8,
    frame_size=128,
    visual_tokens=SPREAD,
    prompt_tokens=SPREAD,
    encode_ms=SPREAD,
    prefill_ms=SPREAD,
    ms_per_token=SPREAD,
    peak_memory_bytes=1_000_000,
    peak_memory_is="of the process",
)


def predictions(**of_tuned: float) -> list[Prediction]:
    return [
        make_prediction(f"clip of {task}", right, task=task) for task, right in of_tuned.items()
    ]


def rows() -> dict[str, list[Prediction]]:
    """Answers of every row, given last row first: all right when tuned, half right otherwise."""
    return {row: predictions(order=1, count=float(row == "tuned")) for row in reversed(list(ROWS))}


def reported(
    answered: Mapping[str, Sequence[Prediction]] | None = None, **provenance: Any
) -> Report:
    turns = (Turn("user", ("Où va-t-il ?",)), Turn("assistant", ("left",)))
    questions = [AskedQuestion(f"clip of {task}", task, turns) for task in ("order", "count")]
    return report_of(answered or rows(), questions=questions, provenance=provenance)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_scores_json_has_a_mean_and_a_value_per_task(tmp_path: Path) -> None:
    report = reported(seed=42)
    write_report(tmp_path / "run", report)
    content = json.loads((tmp_path / "run" / SCORES_FILE).read_text("utf-8"))
    assert content["tuned"] == {"mean": 1.0, "order": 1.0, "count": 1.0}
    assert content["shuffled"] == {"mean": 0.5, "order": 1.0, "count": 0.0}
    assert content["num_questions"]["tuned"] == {"order": 1, "count": 1}
    assert content["provenance"] == {"seed": 42}
    assert content["verdict"] == report.verdict
    assert list(content)[: len(ROWS)] == list(ROWS)


def test_every_answer_is_kept_with_its_row_in_the_order_of_rows(tmp_path: Path) -> None:
    write_report(tmp_path, reported())
    lines = (tmp_path / PREDICTIONS_FILE).read_text("utf-8").splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["row"] for answer in answers] == [row for row in ROWS for _ in range(2)]
    assert "Où va-t-il ?" in lines[0]
    first = {name: answers[0][name] for name in ("record_id", "task", "reference", "answer")}
    assert first == {
        "record_id": "clip of order",
        "task": "order",
        "reference": "left",
        "answer": "left",
    }


def test_nothing_but_its_files_is_left(tmp_path: Path) -> None:
    for _ in range(2):
        write_report(tmp_path, reported())
    assert names_in(tmp_path) == ALWAYS


def test_times_and_pictures_of_other_answers_are_removed(tmp_path: Path) -> None:
    write_report(tmp_path, reported(), cost=COST, gallery={"questions": []})
    assert names_in(tmp_path) == ALWAYS | {COST_FILE, GALLERY_FILE}
    write_report(tmp_path, reported())
    assert names_in(tmp_path) == ALWAYS


def test_a_failed_write_leaves_the_old_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(tmp_path, reported(seed=1))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, reported(seed=2))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_table_tells_what_each_row_means() -> None:
    output = io.StringIO()
    report = reported()
    print_report(report, console=Console(file=output, width=80))
    text = output.getvalue()
    for row, meaning in ROWS.items():
        assert row in text
        assert meaning in text
    assert " ".join(report.verdict.split()) in " ".join(text.split())
    assert "\nScores by task, still images\n" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


def test_without_still_images_nothing_is_said_of_them() -> None:
    output = io.StringIO()
    clips = {row: own for row, own in rows().items() if not row.startswith(STILL_IMAGES)}
    print_report(reported(clips), console=Console(file=output, width=80))
    assert "still images" not in output.getvalue()


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown rows \['shufled'\]"):
        reported({"tuned": predictions(order=1), "shufled": predictions(order=1)})


def test_a_task_that_a_row_does_not_have_is_left_empty() -> None:
    table = tasks_table(
        {"tuned": score_of(predictions(order=1)), "blank": score_of(predictions(count=1))}
    )
    assert list(table.columns[1].cells) == ["1.000", "", "1.000"]
    assert list(table.columns[2].cells) == ["", "1.000", "1.000"]
