"""What a report is made from is read whole, and what is damaged is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures_predictions import make_prediction
from fixtures_report import write_report_files, write_run_files
from flipbook.errors import ArgumentError, DataError
from flipbook.evaluate.page.files import read_report_files
from flipbook.evaluate.predictions_file import write_predictions


@pytest.fixture
def least(tmp_path: Path) -> Path:
    """A folder with nothing but scores and a prediction."""
    folder = tmp_path / "run" / "evaluation"
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text('{"tuned": {"mean": 1.0}, "verdict": ""}')
    rows = {row: [make_prediction("a", 1)] for row in ("tuned", "blank")}
    write_predictions(folder / "predictions.jsonl", rows)
    return folder


def test_everything_that_is_there_is_read(tmp_path: Path) -> None:
    files = read_report_files(write_report_files(tmp_path / "mine", num_of_task=1))
    assert files.name == "mine"
    assert {len(lines) for lines in files.predictions.values()} == {6}
    assert files.log[0]["step"] == 10
    assert files.followed[0]["step"] == 0
    for found in (files.cost, files.sweep, files.gallery, files.data, files.environment):
        assert found
    assert files.config.startswith("model_name_or_path: tiny\n")


def test_all_but_scores_and_predictions_may_be_missing(least: Path) -> None:
    files = read_report_files(least)
    assert list(files.predictions) == ["tuned", "blank"]
    assert (files.log, files.followed, files.config) == ([], [], "")
    assert (files.cost, files.sweep, files.gallery, files.data) == (None, None, None, None)


def test_an_evaluation_has_the_name_of_its_model(least: Path) -> None:
    assert read_report_files(least).name == "run"


def test_the_training_is_read_from_the_run(least: Path, tmp_path: Path) -> None:
    write_run_files(tmp_path / "other")
    files = read_report_files(least, run_folder=tmp_path / "other")
    assert files.name == "other"
    assert files.data is not None
    assert files.followed


def test_a_line_that_was_not_finished_is_left_out(least: Path) -> None:
    (least / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert read_report_files(least).log == [{"step": 1, "loss": 2.0}]


@pytest.mark.parametrize("name", ["scores.json", "predictions.jsonl"])
def test_a_folder_without_scores_is_refused(least: Path, name: str) -> None:
    (least / name).unlink()
    with pytest.raises(ArgumentError, match=rf"evaluation holds no {name}, so there is nothing"):
        read_report_files(least)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("cost.json", "{", "Expecting property name"),
        ("gallery.json", "[1]", r"it is \[1\] and not an object"),
        ("log.jsonl", "{\n", "line 1: Expecting property name"),
        ("log.jsonl", '{"step": 1}\n\n{"loss": 1}\n', "line 3: it has no 'step'"),
        ("followed.jsonl", '{"step": 1}\n', "line 1: it has no 'record_id'"),
        ("data.json", '{"train": {"tasks": {"a": null}}}', "train/tasks/a is None and not a whole"),
        ("gallery.json", '{"items": [{}]}', "items/0 has no 'record_id'"),
        ("sweep.json", "{}", "it has no 'points'"),
    ],
)
def test_a_damaged_file_is_named(least: Path, name: str, text: str, reason: str) -> None:
    (least / name).write_text(text)
    with pytest.raises(DataError, match=rf"{name} cannot be read \({reason}.*Make it anew"):
        read_report_files(least)


def test_bytes_that_are_no_text_are_named(least: Path) -> None:
    (least / "config.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"config.yaml cannot be read \('utf-8' codec"):
        read_report_files(least)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tuned": {"mean": "abc"}}, "tuned/mean is 'abc' and not a number from 0 to 1"),
        ({"tuned": {"mean": 7.0}}, "tuned/mean is 7.0 and not a number from 0 to 1"),
        ({"tuned": {"a": 1.0}}, "tuned has no 'mean'"),
        ({"tuned": None}, "tuned is None and not an object"),
        ({"blank": {"mean": True}}, "blank/mean is True and not a number"),
        ({"verdict": 3}, "verdict is 3 and not a text"),
        ({"intervals": {"tuned": {"mean": [0.1]}}}, r"mean is \[0.1\] and not a list of 2"),
        ({"intervals": {"tuned": {"mean": [0, "1"]}}}, "intervals/tuned/mean/1 is '1' and not"),
        ({"num_questions": {"tuned": {"a": 1.5}}}, "num_questions/tuned/a is 1.5 and not a whole"),
        ({"differences": {"tuned-blank": {}}}, "differences/tuned-blank has no 'value'"),
        ({"kinds": {"tuned": {"open": {"x": {"value": 10**400}}}}}, r"x/value is 10+\.* and not"),
    ],
)
def test_scores_that_are_none_are_named(
    least: Path, changes: dict[str, object], reason: str
) -> None:
    path = least / "scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(
        DataError, match=rf"scores.json cannot be read \(.*{reason}.*\). Evaluate again with"
    ):
        read_report_files(least)


def test_predictions_are_read_as_they_are_compared(least: Path) -> None:
    path = least / "predictions.jsonl"
    path.write_text(path.read_text().replace('"value": 1.0', '"value": 7.0'))
    with pytest.raises(DataError, match="predictions.jsonl line 1: is no prediction: its 'value'"):
        read_report_files(least)
