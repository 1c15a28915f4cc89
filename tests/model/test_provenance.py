"""Where a model comes from: kept through every save, and never a damaged story."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from fixtures_model import make_checkpoint
from flipbook.errors import CheckpointError
from flipbook.model.checkpoint import load_checkpoint
from flipbook.model.provenance import Provenance
from flipbook.model.saving import save_apple_checkpoint, save_checkpoint

ORIGIN = Provenance(
    base="someone/FastVLM-0.5B",
    base_layout="llava_qwen2",
    trained={"projector": 12, "language_model": 34},
    lora={"rank": 2.0, "alpha": 4.0, "dropout": 0.05},
    data=[{"file": "träin.json", "sha256": "ab" * 32, "num_records": 5, "split": "train"}],
    recipe={"optimizer_steps": 3, "seed": 42},
    versions={"torch": "2.15.0"},
)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    assert ORIGIN.save(tmp_path) == tmp_path / "provenance.json"
    assert Provenance.load(tmp_path) == ORIGIN
    assert "träin.json" in (tmp_path / "provenance.json").read_text(encoding="utf-8")


def test_a_folder_may_tell_nothing(tmp_path: Path) -> None:
    assert Provenance.load(tmp_path) is None


def test_full_tuning_has_no_adapters(tmp_path: Path) -> None:
    full = dataclasses.replace(ORIGIN, lora=None)
    full.save(tmp_path)
    assert Provenance.load(tmp_path) == full


def test_every_save_passes_it_on(tmp_path: Path) -> None:
    checkpoint = make_checkpoint()
    assert load_checkpoint(save_checkpoint(tmp_path / "none", checkpoint)).provenance is None
    checkpoint.provenance = ORIGIN
    first = load_checkpoint(save_checkpoint(tmp_path / "hf", checkpoint))
    assert first.provenance == ORIGIN
    second = load_checkpoint(save_apple_checkpoint(tmp_path / "llava", first))
    assert second.provenance == ORIGIN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, r'"format" is 9, and this flipbook reads 1'),
        ({"bass": "x"}, r"unknown field 'bass'\. Did you mean 'base'"),
        ({"trained": None}, "the field 'trained' is None, of another kind"),
        ({"lora": 3}, "the field 'lora' is 3, of another kind"),
        ({"data": ["x"]}, "'data' holds something else than objects"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = ORIGIN.save(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change))
    with pytest.raises(CheckpointError, match=message) as caught:
        Provenance.load(tmp_path)
    assert "the model works without it" in str(caught.value)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Provenance)])
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    path = ORIGIN.save(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content[field]
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"the field '{field}' is missing"):
        Provenance.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read as JSON"), ("[]", "holds no JSON object")]
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "provenance.json").write_text(text)
    with pytest.raises(CheckpointError, match=rf"provenance\.json: {message}"):
        Provenance.load(tmp_path)
