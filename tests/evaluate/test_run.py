"""Does one call give every row, with one model in memory at a time?"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import weakref
from pathlib import Path
from typing import Any

import pytest

from flipbook.data.generated.write import GeneratedData
from flipbook.data.records import read_records
from flipbook.errors import DataError
from flipbook.evaluate import loading
from flipbook.evaluate.rows import ROW_OF_CONTROL, ROWS
from flipbook.evaluate.run import (
    EvaluationSettings,
    evaluate_model,
)
from flipbook.model.checkpoint import Checkpoint, load_checkpoint
from flipbook.train.record import file_sha256

QUICK = EvaluationSettings(
    max_new_tokens=1, max_questions=3, num_cost_questions=0, num_in_gallery=2, show_progress=False
)


def test_every_row_is_there_with_its_provenance(
    fast_vlm_folder: Path, generated: GeneratedData, tmp_path: Path
) -> None:
    report = evaluate_model(
        read_records(str(generated.test)).records,
        tuned=fast_vlm_folder,
        untuned=fast_vlm_folder,
        output_folder=tmp_path,
        still_image_records=read_records(str(generated.images)).records,
        settings=QUICK,
        data_files=[generated.test],
        provenance={"seed": 42},
    )
    assert list(report.scores) == list(ROWS)
    assert report.scores["tuned"] == report.scores["untuned"]
    content = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    told = content["provenance"]
    digest = hashlib.sha256(generated.test.read_bytes()).hexdigest()
    assert told["data_files"] == {str(generated.test): digest}
    assert told["models"] == {"tuned": str(fast_vlm_folder), "untuned": str(fast_vlm_folder)}
    assert told["clip_settings"]["num_frames"] == 4
    assert told["generation"]["max_new_tokens"] == 1
    assert told["seed"] == 42
    assert "torch" in told["environment"]["versions"]
    assert all(sum(counts.values()) <= 3 for counts in content["num_questions"].values())
    assert told["environment"]["source"]
    assert content == json.loads(json.dumps(report.content))
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    keys = [(line["row"], line["record_id"], line["number"]) for line in map(json.loads, lines)]
    assert (
        len(keys)
        == len(set(keys))
        == sum(sum(counts.values()) for counts in content["num_questions"].values())
    )
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {
        "predictions.jsonl",
        "scores.json",
        "gallery.json",
        "report.md",
        "report.html",
    }


def test_models_are_in_memory_one_after_the_other(
    fast_vlm_folder: Path,
    generated: GeneratedData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[weakref.ref[Any]] = []

    def counted(*words: Any, **options: Any) -> Checkpoint:
        gc.collect()
        assert not any(model() is not None for model in loaded)
        checkpoint = load_checkpoint(*words, **options)
        loaded.append(weakref.ref(checkpoint.model))
        return checkpoint

    monkeypatch.setattr(loading, "load_checkpoint", counted)
    evaluate_model(
        read_records(str(generated.test)).records,
        tuned=fast_vlm_folder,
        untuned=fast_vlm_folder,
        output_folder=tmp_path,
        settings=QUICK,
    )
    assert len(loaded) == 2


def test_a_model_in_memory_is_used_as_it_is(
    seeing_checkpoint: Checkpoint, generated: GeneratedData, tmp_path: Path
) -> None:
    report = evaluate_model(
        read_records(str(generated.test)).records,
        tuned=seeing_checkpoint,
        untuned=None,
        output_folder=tmp_path,
        settings=QUICK,
    )
    assert list(report.scores) == list(ROW_OF_CONTROL.values())


def test_features_are_kept_where_a_store_is_named(
    seeing_checkpoint: Checkpoint, generated: GeneratedData, tmp_path: Path
) -> None:
    for _ in range(2):
        report = evaluate_model(
            read_records(str(generated.test)).records,
            tuned=seeing_checkpoint,
            untuned=seeing_checkpoint,
            output_folder=tmp_path / "report",
            settings=dataclasses.replace(QUICK, feature_store=tmp_path / "features"),
        )
        kept = list((tmp_path / "features").rglob("*.safetensors"))
        assert 0 < len(kept) <= 6  # three clips, and at most as many other ones
    assert report.scores["tuned"] == report.scores["untuned"]


def test_costs_are_told_beside_the_scores(
    seeing_checkpoint: Checkpoint, generated: GeneratedData, tmp_path: Path
) -> None:
    evaluate_model(
        read_records(str(generated.test)).records,
        tuned=seeing_checkpoint,
        untuned=None,
        output_folder=tmp_path,
        settings=dataclasses.replace(QUICK, num_cost_questions=1, num_in_gallery=0),
    )
    cost = json.loads((tmp_path / "cost.json").read_text(encoding="utf-8"))
    settings = seeing_checkpoint.clip_settings
    assert cost["visual_tokens"]["median"] == settings.num_frames * settings.tokens_per_frame


def test_records_without_questions_are_refused(
    seeing_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no question to evaluate on: add assistant turns"):
        evaluate_model([], tuned=seeing_checkpoint, untuned=None, output_folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"flipbook")
    assert file_sha256(tmp_path / "a") == hashlib.sha256(b"flipbook").hexdigest()
