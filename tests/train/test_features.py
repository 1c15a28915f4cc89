"""Does a run with stored features learn what a run without them learns?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures_data import Tune
from fixtures_model import make_checkpoint
from flipbook.data import contents, shown
from flipbook.data.generated.write import GeneratedData
from flipbook.train.features import open_store, store_folder
from flipbook.train.parsing import parse_arguments
from flipbook.train.run import RunResult


@pytest.fixture
def num_decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of clips and pictures in the order in which they are decoded."""
    paths: list[str] = []
    for name in ("read_clip", "read_image"):
        read = getattr(shown, name)

        def noted(path: str, *, _read: Any = read, **settings: Any) -> Any:
            paths.append(path)
            return _read(path, **settings)

        monkeypatch.setattr(shown, name, noted)
    return paths


def _losses(result: RunResult) -> list[dict[str, float]]:
    lines = map(json.loads, (result.run_folder / "log.jsonl").read_text().splitlines())
    return [
        {name: value for name, value in line.items() if name in ("loss", "eval_loss", "grad_norm")}
        for line in lines
    ]


def test_from_the_second_epoch_on_nothing_is_decoded(
    tune: Tune, generated: GeneratedData, tmp_path: Path, num_decoded: list[str]
) -> None:
    settings = {
        "num_train_epochs": 3,
        "max_steps": -1,
        "validation_data_path": generated.validation,
        "eval_strategy": "epoch",
        "load_best_model_at_end": False,
    }
    live = tune(tmp_path / "live", **settings)
    num_live = len(num_decoded)
    num_decoded.clear()
    stored = tune(tmp_path / "stored", frame_features="store", **settings)
    assert _losses(stored) == _losses(live)
    assert (
        len(num_decoded)
        == len(set(num_decoded))
        == len(list((tmp_path / "features").rglob("*.safetensors")))
    )
    assert num_live >= 3 * len(num_decoded)
    num_decoded.clear()
    again = tune(tmp_path / "again", frame_features="store", **settings)  # finds all at once
    assert _losses(again) == _losses(live)
    assert num_decoded == []


def test_workers_find_what_is_stored_while_they_run(tune: Tune, tmp_path: Path) -> None:
    settings = {"num_train_epochs": 2, "max_steps": -1, "lora_r": 2, "lora_dropout": 0.0}
    live = tune(tmp_path / "live", **settings)
    stored = tune(tmp_path / "stored", frame_features="store", dataloader_num_workers=2, **settings)
    assert _losses(stored) == _losses(live)
    assert list((tmp_path / "features").rglob("*.safetensors"))


def test_views_take_turns(tune: Tune, tmp_path: Path, num_decoded: list[str]) -> None:
    settings = {"frame_sampler": "segments", "feature_views": 2, "frame_features": "store"}
    tune(tmp_path / "run", num_train_epochs=4, max_steps=-1, **settings)
    clips = [path for path in num_decoded if path.endswith(".mp4")]
    assert len(clips) == 2 * len(set(clips)) > 0


def test_a_full_disk_stops_no_run(
    tune: Tune,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = tune(tmp_path / "live")
    replace, num_files = contents.os.replace, 0

    def fill_up(source: Any, target: Any) -> None:
        nonlocal num_files
        num_files += str(target).endswith(".safetensors")
        if num_files > 2:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(contents.os, "replace", fill_up)
    stored = tune(tmp_path / "stored", frame_features="store")
    assert _losses(stored) == _losses(live)
    assert caplog.text.count("no more features are stored") == 1


def test_where_features_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint = make_checkpoint()

    def parsed(*words: str) -> Any:
        run = f"--output_dir={tmp_path}/runs/one"
        return parse_arguments(["--data_path=x.json", run, "--use_cpu=true", *words])

    assert open_store(parsed(), model=checkpoint.model, checkpoint=checkpoint) is None
    assert store_folder(parsed()) == tmp_path / "runs" / "features"
    named = parsed("--frame_features=store", "--feature_store=~/kept")
    assert store_folder(named) == tmp_path / "kept"
    words = ("--frame_features=store", "--feature_store_max_gb=0.5")
    store = open_store(parsed(*words), model=checkpoint.model, checkpoint=checkpoint)
    assert store is not None
    assert store.folder == tmp_path / "runs" / "features"
    assert store._room.max_bytes == 500_000_000
    assert not store.folder.exists()
