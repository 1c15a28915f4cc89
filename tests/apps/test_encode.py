"""Does `flipbook encode` store all that training looks for, and tell what it cannot store?"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures_data import Tune
from flipbook.apps import encode as module
from flipbook.apps.encode import Tally, Unseen
from flipbook.cli import main
from flipbook.data import shown as media
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.generated.write import GeneratedData
from flipbook.train.arguments import DataArguments


@pytest.fixture
def words(fast_vlm_folder: Path, generated: GeneratedData, tmp_path: Path) -> list[str]:
    """The flags of a small run whose features go to `tmp_path/features`."""
    settings = {
        "model_name_or_path": fast_vlm_folder,
        "data_path": generated.train,
        "output_dir": tmp_path / "run",
        "num_video_frames": 2,
        "frame_size": 128,
        "dataloader_num_workers": 0,
        "use_cpu": True,
        "report_to": "none",
    }
    return [f"--{name}={value}" for name, value in settings.items()]


def _num_files(tmp_path: Path) -> int:
    return len(list((tmp_path / "features").rglob("*.safetensors")))


def _num_media(path: Path) -> int:
    rows = json.loads(path.read_text(encoding="utf-8"))
    return len({row.get("video") or row.get("image") for row in rows} - {None})


def test_what_is_stored_once_is_found_again(
    words: list[str],
    generated: GeneratedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["encode", *words, f"--validation_data_path={generated.validation}"]
    num_clips = _num_media(generated.train) + _num_media(generated.validation)
    assert main([*words, "--dataloader_num_workers=2"]) == 0
    assert f"{num_clips} clips encoded (" in capsys.readouterr().out
    assert _num_files(tmp_path) == num_clips
    monkeypatch.setattr(module, "tower_features", None)  # is not called again
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "0 clips encoded (0.0 MB) in " in printed
    assert f", {num_clips} were there, 0 cannot be read" in printed
    assert f"Features are in {tmp_path / 'features'}" in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("sampler", ["uniform", "segments"])
def test_training_decodes_nothing_and_loses_the_same(
    words: list[str], tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    settings = {"frame_sampler": sampler, "feature_views": 2, "max_steps": 4}
    live = tune(tmp_path / "live", **settings)
    flags = [f"--{name}={value}" for name, value in settings.items()]
    assert main(["encode", *words, *flags]) == 0

    def fail(*_args: object, **_settings: object) -> None:
        raise AssertionError

    monkeypatch.setattr(media, "read_clip", fail)
    monkeypatch.setattr(media, "read_image", fail)
    stored = tune(tmp_path / "run", **settings, frame_features="store")
    losses = [
        [line.get("loss") for line in map(json.loads, log.read_text().splitlines())]
        for log in (live.run_folder / "log.jsonl", stored.run_folder / "log.jsonl")
    ]
    assert len(losses[0]) >= 4
    if sampler == "uniform":
        assert losses[0] == losses[1]
    else:  # views take turns where there is a store, from the same first one
        assert losses[0][0] == losses[1][0]


def test_each_view_is_stored(words: list[str], generated: GeneratedData, tmp_path: Path) -> None:
    flags = [f"--validation_data_path={generated.validation}", "--frame_sampler=segments"]
    assert main(["encode", *words, *flags, "--feature_views=3"]) == 0
    rows = json.loads(generated.train.read_text(encoding="utf-8"))
    num_stills = len({row["image"] for row in rows if "image" in row})
    num_clips = len({row["video"] for row in rows if "video" in row})
    num_validation = _num_media(generated.validation)
    assert _num_files(tmp_path) == 3 * num_clips + num_stills + num_validation


def test_it_goes_on_where_it_was_stopped(
    words: list[str],
    generated: GeneratedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tower_features, num_calls = module.tower_features, 0

    def stop_after_three(*args: Any, **settings: Any) -> Any:
        nonlocal num_calls
        num_calls += 1
        if num_calls == 4:
            raise KeyboardInterrupt
        return tower_features(*args, **settings)

    monkeypatch.setattr(module, "tower_features", stop_after_three)
    assert main(["encode", *words]) == 75
    assert "the same command goes on with the other clips" in capsys.readouterr().err
    assert _num_files(tmp_path) == 3
    assert main(["encode", *words]) == 0
    assert "3 were there" in capsys.readouterr().out
    assert _num_files(tmp_path) == num_calls - 1 == _num_media(generated.train)


def test_a_bad_clip_is_named_after_all_others_are_stored(
    words: list[str],
    generated: GeneratedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(generated.folder, tmp_path / "data")
    rows = json.loads(generated.train.read_text(encoding="utf-8"))
    bad = next(row for row in rows if "video" in row)
    (tmp_path / "data" / bad["video"]).write_bytes(b"no video")
    train = tmp_path / "data" / generated.train.relative_to(generated.folder)
    assert main(["encode", *words, f"--data_path={train}"]) == 3
    printed = capsys.readouterr()
    assert "1 cannot be read" in printed.out
    assert f"not encoded: {tmp_path / 'data' / bad['video']}" in printed.out
    assert f"(record {bad['id']})" in printed.out
    assert "1 of the clips cannot be read, the first is" in printed.err
    assert "Copy these again, or remove their records" in printed.err
    assert _num_files(tmp_path) == _num_media(generated.train) - 1


def test_each_clip_is_counted_once_in_each_view(
    words: list[str],
    generated: GeneratedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A picture has no views, and a clip that cannot be read is named once."""
    shutil.copytree(generated.folder, tmp_path / "data")
    rows = json.loads(generated.train.read_text(encoding="utf-8"))
    assert any("image" in row for row in rows)
    bad = next(row for row in rows if "video" in row)
    (tmp_path / "data" / bad["video"]).write_bytes(b"no video")
    train = tmp_path / "data" / generated.train.relative_to(generated.folder)
    words = ["encode", *words, f"--data_path={train}", "--frame_sampler=segments"]
    assert main(words) == main(words) == 3
    printed = capsys.readouterr().out
    assert printed.count("not encoded: ") == 2
    assert f"{_num_files(tmp_path)} were there, 1 cannot be read" in printed


def test_a_full_store_is_told(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", *words, "--feature_store_max_gb=0.00001"]) == 5
    printed = capsys.readouterr()
    assert f"{tmp_path / 'features'} takes no more features, because it has reached" in printed.err
    assert "goes on where it stopped" in printed.err
    assert 0 < _num_files(tmp_path) < 6


def test_processes_share_the_clips(generated: GeneratedData, tmp_path: Path) -> None:
    from fixtures_model import make_tokenizer

    data_args = DataArguments(num_video_frames=2, frame_size=128)
    dataset = LazySupervisedDataset(str(generated.train), make_tokenizer(), data_args)
    whole = Unseen([dataset, dataset], rank=0, num_processes=1).places
    parts = [Unseen([dataset, dataset], rank=rank, num_processes=3).places for rank in range(3)]
    assert len(whole) == 2 * len(np.unique(dataset.table.clips))
    assert sorted(map(tuple, np.concatenate(parts))) == sorted(map(tuple, whole))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    one = Tally(1, 2, 3, ["a"])
    one.add(Tally(1, 1, 1, ["b"], "full"))
    assert one == Tally(2, 3, 4, ["a", "b"], "full")


def test_the_flags_are_those_of_train(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encode", "--help"]) == 0
    help_text = capsys.readouterr().out
    assert "flipbook encode [config.yaml]" in help_text
    assert "--feature_views" in help_text
    assert main(["encode", *words, "--train_parts", "vision_tower"]) == 2
    assert "names vision_tower" in capsys.readouterr().err
    assert main(["encode", "--data_pat=x"]) == 2
    assert os.linesep not in capsys.readouterr().err.strip()
