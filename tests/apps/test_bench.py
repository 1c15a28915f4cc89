"""`flipbook bench temporal` makes clips, proves them, and scores a model on them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import pytest

from flipbook.apps.bench import add_arguments, run
from flipbook.apps.bench import temporal as command
from flipbook.cli import main
from flipbook.errors import ArgumentError, DataError, NoModelError, StorageError
from flipbook.evaluate.temporal.probe import Probe, Reading


def _bench(*words: str) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    run(parser.parse_args(["temporal", *words]))


def _lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_the_suite_is_made_and_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _bench(
        *("--out", str(tmp_path / "suite"), "--tasks", "order", "colour", "--clips_per_task", "1"),
        *("--train_clips_per_task", "2", "--form", "both", "--probe_clips", "60"),
    )
    shown = capsys.readouterr().out
    lines = _lines(shown)
    assert ["order", "0.500", "0.500", "1.000", "order"] in lines
    assert ["colour_choice", "0.333", "1.000", "1.000", "one", "frame"] in lines
    assert "half of 60 clips to learn from" in shown
    told = json.loads((tmp_path / "suite/probe.json").read_text())
    assert list(told["tasks"]) == ["order", "colour"]
    assert told["faults"] == []
    for name in ("test.json", "train.json", "validation.json", "probe.json"):
        assert str(tmp_path / "suite" / name) in shown
        assert (tmp_path / "suite" / name).is_file()


def test_a_model_is_scored_with_controls(
    fast_vlm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _bench(
        *("--out", str(tmp_path), "--tasks", "order", "last_frame", "--clips_per_task", "2"),
        *("--form", "choice", "--probe_clips", "0", "--model", str(fast_vlm_folder)),
        *("--max_new_tokens", "2"),
    )
    shown = capsys.readouterr().out
    folder = tmp_path / "evaluation" / fast_vlm_folder.name
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["provenance"]["suite"] == {
        "seed": 0,
        "form": "choice",
        "model": os.path.relpath(fast_vlm_folder, tmp_path),
    }
    told = json.loads((folder / "temporal.json").read_text())
    order, last_frame = told["tasks"]
    assert order["task"] == "order_choice"
    assert order["score"] == scores["tuned"]["order_choice"]
    assert order["shuffled"] == scores["shuffled"]["order_choice"]
    assert order["order_blind"] == 0.5
    assert last_frame["needs"] == "last frame"
    (line,) = [line for line in _lines(shown) if line[:1] == ["order_choice"] and len(line) > 6]
    assert line[1] == f"{order['score']:.3f}"
    assert not (tmp_path / "probe.json").exists()
    assert "\nprobe" not in shown


def test_two_models_of_one_name_are_scored_on_one_suite(
    fast_vlm_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = tmp_path / "suite"
    runs = [tmp_path / "one/mine", tmp_path / "two/mine"]
    for run_folder in runs:
        shutil.copytree(fast_vlm_folder, run_folder / "model")
    words = ("--out", str(suite), "--probe_clips", "0", "--max_new_tokens", "1")
    _bench(*words, "--tasks", "colour", "--clips_per_task", "2", "--model", str(runs[0]))
    made = (suite / "test.json").read_bytes()
    assert "is used as it is" not in capsys.readouterr().out
    _bench(*words, "--model", str(runs[1] / "model"))
    shown = capsys.readouterr().out
    assert f"The suite in {suite} is used as it is." in shown
    assert f"{suite}/evaluation/mine is that of another model: this one is kept in" in shown
    assert f"report        {suite}/evaluation/mine-2" in shown
    assert sorted(path.name for path in (suite / "evaluation").iterdir()) == ["mine", "mine-2"]
    with pytest.raises(ArgumentError, match="--clips_per_task is 1, and was 2"):
        _bench(*words, "--clips_per_task", "1", "--model", str(runs[1]))
    assert (suite / "test.json").read_bytes() == made


def test_a_suite_that_gives_answers_away_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak = Probe({"order": {"unordered": Reading(60, 60, 0.5, 0.5)}}, 120, 0)
    monkeypatch.setattr(command, "probe_tasks", lambda tasks, **_: leak)
    monkeypatch.setattr(command, "probe_table", lambda probe: "")
    with pytest.raises(DataError, match="the clips are not what they should be .order: a reader"):
        _bench("--out", str(tmp_path), "--tasks", "order", "--clips_per_task", "1")
    assert json.loads((tmp_path / "probe.json").read_text())["faults"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--batch_size", "0"), "--batch_size is 0: give 1 or more"),
        (("--max_new_tokens", "0"), "--max_new_tokens is 0: give 1 or more"),
        (("--seed", "-1"), "--seed is -1: give 0 or more"),
        (("--probe_clips", "3"), "--probe_clips is 3: give 4 or more, or 0 for none"),
        (("--probe_clips", "-1"), "--probe_clips is -1: give 4 or more"),
        (("--tasks", "ordr"), "task 'ordr' is unknown; .*Did you mean 'order'"),
        (("--form", "word"), "form 'word' is unknown"),
        (("--clips_per_task", "0"), "--clips_per_task is 0: give a number from 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=message):
        _bench("--out", str(tmp_path / "new"), *words)
    assert not (tmp_path / "new").exists()


def test_an_unknown_model_is_refused_before_a_clip_is_written(tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match="there is no model folder '.*nope'"):
        _bench("--out", str(tmp_path / "new"), "--model", str(tmp_path / "nope"))
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file: cannot be made"):
        _bench("--out", str(tmp_path / "file"), "--probe_clips", "0")


def test_the_command_line_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "temporl", "--out", "x"]) == 2
    assert "Did you mean 'temporal'?" in capsys.readouterr().err
