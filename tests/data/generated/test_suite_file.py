"""A suite is never made anew with other settings in the same folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flipbook.data.generated import suite_file
from flipbook.data.generated.suite_file import (
    DEFAULTS,
    is_whole,
    open_suite,
    settings_of_suite,
)
from flipbook.errors import ArgumentError, DataError

NAMED: dict[str, Any] = {"tasks": ["order", "colour", "order"], "clips_per_task": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite of two clips."""
    made = tmp_path_factory.mktemp("suite")
    open_suite(made, settings_of_suite(made, NAMED))
    return made


def test_a_new_suite_has_what_is_named_and_the_defaults(tmp_path: Path) -> None:
    found = settings_of_suite(tmp_path / "new", NAMED)
    assert found == {**DEFAULTS, "tasks": ["order", "colour"], "clips_per_task": 1}
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "named", [{}, NAMED, {"seed": 0}, {"tasks": ["colour", "order"]}, {"form": "words"}]
)
def test_a_suite_that_is_there_is_used(folder: Path, named: dict[str, Any]) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    settings = settings_of_suite(folder, named)
    assert settings == {**DEFAULTS, "tasks": ["order", "colour"], "clips_per_task": 1}
    assert is_whole(folder, settings)
    suite = open_suite(folder, settings)
    assert (suite.test, suite.train, suite.validation) == (folder / "test.json", None, None)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"clips_per_task": 2}, "--clips_per_task is 2, and was 1"),
        ({"tasks": ["order"]}, "--tasks is order, and was order colour"),
        ({"seed": 3, "form": "both"}, "--seed is 3, and was 0; --form is both, and was words"),
        ({"train_clips_per_task": 5}, "--train_clips_per_task is 5, and was 0"),
    ],
)
def test_other_settings_are_refused(folder: Path, named: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentError, match=f"other settings: {told}. Leave these flags out"):
        settings_of_suite(folder, named)


def test_what_was_not_finished_is_finished_with_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*words: object, **settings: object) -> None:
        raise KeyboardInterrupt

    settings = settings_of_suite(tmp_path, NAMED)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(suite_file, "write_suite", stop)
        open_suite(tmp_path, settings)
    assert not is_whole(tmp_path, settings)
    with pytest.raises(ArgumentError, match="--clips_per_task is 9, and was 1"):
        settings_of_suite(tmp_path, {"clips_per_task": 9})
    assert open_suite(tmp_path, settings_of_suite(tmp_path, {})).test.is_file()
    assert is_whole(tmp_path, settings)
    (tmp_path / "test.json").unlink()
    assert not is_whole(tmp_path, settings)
    assert open_suite(tmp_path, settings).test.is_file()


def test_a_suite_with_clips_to_train_on_is_opened_with_them(tmp_path: Path) -> None:
    named = {"tasks": ["colour"], "clips_per_task": 1, "train_clips_per_task": 1}
    made = open_suite(tmp_path, settings_of_suite(tmp_path, named))
    assert open_suite(tmp_path, settings_of_suite(tmp_path, {})) == made
    assert made.train == tmp_path / "train.json"


def test_manifests_of_something_else_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("[]")
    with pytest.raises(ArgumentError, match=r"holds train.json and no suite.json, .* Name another"):
        settings_of_suite(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is no JSON object"),
        (json.dumps({**DEFAULTS, "whole": 1}), "its 'whole' is 1"),
        (json.dumps({**DEFAULTS, "whole": True, "seed": "0"}), "its 'seed' is '0'"),
        (json.dumps({**DEFAULTS, "whole": True, "tasks": [3]}), r"its 'tasks' are \[3\]"),
        (json.dumps({**DEFAULTS, "whole": True, "tasks": ["x"]}), "task 'x' is unknown"),
        (json.dumps({**DEFAULTS, "whole": True, "seed": -1}), "--seed is -1: give 0 or more"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "suite.json").write_text(text)
    with pytest.raises(
        DataError, match=rf"suite.json: does not say what .*\({reason}.*\). Name another folder"
    ):
        settings_of_suite(tmp_path, {})
