"""Evaluations of a suite are told apart by their models, wherever those lie."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flipbook.apps.bench.naming import evaluation_folder, named_from
from flipbook.errors import CheckpointError


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder of a suite, beside folders of models."""
    names = ("one/mine/model", "two/mine/model", "one/mine/checkpoint-40", "lora/adapter", "plain")
    for name in names:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (tmp_path / "suite").mkdir()
    return tmp_path / "suite"


def name_of(suite: Path, model: str | Path) -> str:
    return evaluation_folder(suite, str(model), named_from(suite, str(model))).name


def evaluate(suite: Path, model: str | Path) -> str:
    """Leave behind what an evaluation leaves, and return the name of its folder."""
    named = named_from(suite, str(model))
    folder = evaluation_folder(suite, str(model), named)
    folder.mkdir(exist_ok=True)
    told = {"provenance": {"suite": {"model": named}}}
    (folder / "scores.json").write_text(json.dumps(told))
    return folder.name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("one/mine", "mine"),
        ("one/mine/model", "mine"),
        ("one/mine/checkpoint-40", "mine-checkpoint-40"),
        ("lora", "lora"),
        ("plain", "plain"),
        ("plain/../plain/", "plain"),
    ],
)
def test_a_model_has_the_name_of_its_run(suite: Path, model: str, name: str) -> None:
    assert name_of(suite, f"{suite.parent}/{model}") == name


def test_models_that_are_no_folders_keep_their_names(suite: Path) -> None:
    assert name_of(suite, "tiny") == "tiny"
    assert name_of(suite, "owner/a-model") == "a-model"
    assert evaluate(suite, "owner/a-model") == "a-model"
    assert name_of(suite, "other/a-model") == "a-model-2"


def test_another_model_of_the_same_name_gets_one_of_its_own(suite: Path) -> None:
    one, two = (suite.parent / name for name in ("one/mine", "two/mine"))
    assert evaluate(suite, one) == "mine"
    assert evaluate(suite, two / "model") == "mine-2"
    assert evaluate(suite, one / "model") == "mine"
    assert evaluate(suite, two) == "mine-2"
    assert sorted(path.name for path in suite.iterdir()) == ["mine", "mine-2"]


def test_a_model_is_known_from_wherever_it_is_named(
    suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluate(suite, suite.parent / "one/mine") == "mine"
    monkeypatch.chdir(suite.parent / "one")
    assert name_of(suite, "mine") == "mine"
    monkeypatch.chdir("mine")
    assert name_of(suite, ".") == "mine"
    assert name_of(Path("../../suite"), "model") == "mine"


@pytest.mark.parametrize("text", ["{", "[]", '{"provenance": {"suite": 3}}', "{}"])
def test_scores_that_name_no_model_are_kept(suite: Path, text: str) -> None:
    (suite / "plain").mkdir()
    (suite / "plain/scores.json").write_text(text)
    assert name_of(suite, suite.parent / "plain") == "plain-2"


def test_a_folder_without_a_model_is_refused(suite: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no config.json"):
        named_from(suite, str(suite))
