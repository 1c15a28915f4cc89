"""A folder of clips, or a table, becomes training, validation and test data of one run."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from fixtures_data import SHORT_RUN, Tune
from flipbook.data.generated.write import GeneratedData, write_clip
from flipbook.data.records import Record, read_records
from flipbook.errors import ArgumentError, DataError, LabelError
from flipbook.train import proving
from flipbook.train.intake.prepared import PREPARED_IN_RUN
from flipbook.train.intake.taking import INTAKE_FILE, Intake, take_in
from flipbook.train.parsing import parse_arguments

NUM_CLIPS = 6  # of each class
FLAGS: dict[str, Any] = {"split_fractions": "0.5 0.25 0.25", "frame_size": 128}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of two classes, with clips in it, and a table of them."""
    folder = tmp_path_factory.mktemp("intake") / "clips"
    rng = np.random.default_rng(0)
    rows = []
    for label in ("jump", "squat"):
        (folder / label).mkdir(parents=True)
        for number in range(NUM_CLIPS):
            frames = rng.integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)
            write_clip(folder / label / f"{number}.mp4", frames)
            person = f"p{number // 2}"
            rows.append([f"{label}/{number}.mp4", "Which?", label, person])
    with (folder.parent / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file", "q", "a", "person"], *rows])
    return folder


def arguments_for(run: Path, **flags: Any) -> Any:
    """Return the Arguments of a short run; a text with spaces is several words."""
    settings = SHORT_RUN | {"output_dir": run} | FLAGS | flags
    words = [
        word
        for name, value in settings.items()
        for word in (f"--{name}", *(str(value).split(" ") if name in _LISTS else [str(value)]))
    ]
    return parse_arguments(words)


_LISTS = ("split_fractions", "data_path", "train_parts")


def prepared(run: Path, **flags: Any) -> Intake:
    arguments = arguments_for(run, **flags)
    return take_in(arguments, run_folder=run, is_resumed=False, console=Console(file=io.StringIO()))


def records_of(intake: Intake) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for name in ("train", "validation", "test"):
        for source in getattr(intake, name):
            result = read_records(source.path, image_folder=source.image_folder)
            assert not result.rejected
            found.setdefault(name, []).extend(result.records)
    return found


def test_class_folders_are_divided_by_clip_and_class(made: Path, tmp_path: Path) -> None:
    records = records_of(prepared(tmp_path, data_path=made))
    assert {name: len(found) for name, found in records.items()} == {
        "train": 6,
        "validation": 3,
        "test": 3,
    }
    clips = [media.path for found in records.values() for r in found for media in r.media]
    assert len(set(clips)) == 2 * NUM_CLIPS
    for found in records.values():
        assert {record.extras.answer for record in found} == {"jump", "squat"}
        assert all(record.extras.kind == "classification" for record in found)


def test_a_table_is_divided_by_its_group(made: Path, tmp_path: Path) -> None:
    columns = "video=file,question=q,answer=a,group=person"
    intake = prepared(tmp_path, data_path=made.parent / "table.csv", map=columns, image_folder=made)
    records = records_of(intake)
    groups = [{record.extras.group for record in found} for found in records.values()]
    assert len(groups) == 3
    assert sum(map(len, groups)) == len(set.union(*groups)) == NUM_CLIPS // 2
    assert intake.claimed == intake.test


def test_what_is_written_down_is_read_again(made: Path, tmp_path: Path) -> None:
    intake = prepared(tmp_path, data_path=made, frames_fps=2.0)
    intake.save(tmp_path / INTAKE_FILE)
    assert Intake.load(tmp_path / INTAKE_FILE) == intake


def test_named_validation_data_are_not_divided(made: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for label in ("jump", "squat"):
        (tmp_path / "other" / label).mkdir()
        write_clip(
            tmp_path / "other" / label / "a.mp4",
            np.full((4, 64, 64, 3), 90 if label == "jump" else 200, dtype=np.uint8),
        )
    intake = prepared(tmp_path, data_path=made, validation_data_path=tmp_path / "other")
    records = records_of(intake)
    assert {name: len(found) for name, found in records.items()} == {
        "train": 2 * NUM_CLIPS,
        "validation": 2,
    }
    assert intake.claimed == intake.validation


def test_a_broken_clip_is_told_of_before_training(made: Path, tmp_path: Path) -> None:
    (made / "jump" / "torn.mp4").write_bytes(b"<html>not found</html>")
    try:
        with pytest.raises(DataError, match=r"1 of 13 records are quarantined.*quarantine.jsonl"):
            prepared(tmp_path / "a", data_path=made)
        intake = prepared(tmp_path / "b", data_path=made, max_bad_fraction=0.1)
        names = [r.media[0].path for found in records_of(intake).values() for r in found]
        assert len(names) == 2 * NUM_CLIPS
        assert not any("torn" in name for name in names)
        lists = (tmp_path / "b" / PREPARED_IN_RUN / "checked" / "quarantine.jsonl").read_text()
        assert "web page" in lists
        assert "torn.mp4" in lists
    finally:
        (made / "jump" / "torn.mp4").unlink()


def test_a_run_on_a_folder_and_its_resumption(
    made: Path, tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), width=300)
    monkeypatch.setattr("fixtures_data.Console", lambda **_: console)
    flags: dict[str, Any] = {
        "data_path": made,
        "max_steps": 4,
        "save_strategy": "steps",
        "save_steps": 2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "frame_size": 128,
    }
    first = tune(tmp_path / "run", **flags)
    assert first.claimed
    lines = map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    assert any("eval_loss" in line for line in lines)
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["data_path"] == [str(made)]
    provenance = json.loads((first.model_folder / "provenance.json").read_text())
    assert [entry["file"] for entry in provenance["data"]] == ["train.jsonl", "validation.jsonl"]
    before = (tmp_path / "run" / PREPARED_IN_RUN / INTAKE_FILE).read_bytes()
    write_clip(made / "jump" / "new.mp4", np.zeros((4, 64, 64, 3), dtype=np.uint8))
    try:
        again = tune(tmp_path / "run", **flags | {"resume_from_checkpoint": "latest"})
        told = console.file.getvalue()  # type: ignore[attr-defined]
        assert f"Warning: {made} has changed since this run began" in told
    finally:
        (made / "jump" / "new.mp4").unlink()
    assert (tmp_path / "run" / PREPARED_IN_RUN / INTAKE_FILE).read_bytes() == before
    assert again.claimed == first.claimed


@pytest.mark.slow
def test_two_processes_read_the_same_data(
    made: Path, fast_vlm_folder: Path, tmp_path: Path
) -> None:
    words = SHORT_RUN | {
        "model_name_or_path": fast_vlm_folder,
        "data_path": made,
        "output_dir": tmp_path / "run",
        "report_num_questions": 4,
        "proof_records": 2,
    }
    flags = [f"--{name}={value}" for name, value in words.items()]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone",
        "-m", "flipbook", "train", *flags,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Tuning ") == 1
    assert done.stdout.count("Proven on 2 training conversations") == 1
    assert "single_frame" in done.stdout
    assert (tmp_path / "run" / "scores.json").is_file()


def test_without_a_share_for_validation_all_is_trained_on(
    made: Path, tune: Tune, tmp_path: Path
) -> None:
    arguments = arguments_for(tmp_path, data_path=made, split_fractions="1 0 0")
    assert str(arguments.training.eval_strategy.value) == "no"
    intake = take_in(
        arguments, run_folder=tmp_path, is_resumed=False, console=Console(file=io.StringIO())
    )
    assert not intake.validation
    assert len(records_of(intake)["train"]) == 2 * NUM_CLIPS


def test_a_run_is_refused_where_a_proof_fails(tune: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **settings: object) -> int:
        raise LabelError("clip-7", f"there is no proof ({settings})")

    monkeypatch.setattr(proving, "prove_sample_of", fail)
    with pytest.raises(
        LabelError, match="clip-7: there is no proof .*'num_records': 5, 'seed': 42"
    ):
        tune(proof_records=5)
    tune(proof_records=0)


def test_a_mixture_may_hold_a_table(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "mixture.yaml"
    columns = {"video": "file", "question": "q", "answer": "a"}
    table = {"path": str(made.parent / "table.csv"), "image_folder": str(made), "map": columns}
    path.write_text(yaml.safe_dump({"datasets": [table | {"weight": 2, "num_video_frames": 3}]}))
    intake = prepared(tmp_path / "run", data_path=path)
    (source,) = intake.train
    assert (source.weight, source.view.num_frames) == (2, 3)
    assert records_of(intake)["train"]


def test_a_missing_path_is_told(tmp_path: Path) -> None:
    with pytest.raises((ArgumentError, DataError), match="nowhere"):
        prepared(tmp_path, data_path=tmp_path / "nowhere")


@pytest.fixture
def with_splits(made: Path, tmp_path: Path) -> Path:
    """Class folders below folders of splits, without one for validation."""
    rng = np.random.default_rng(9)
    for split, number in (("train", 4), ("test", 2)):
        for label in ("jump", "squat"):
            folder = tmp_path / "split" / split / label
            folder.mkdir(parents=True)
            for place in range(number):
                frames = rng.integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)
                write_clip(folder / f"{place}.mp4", frames)
    return tmp_path / "split"


def _splits_on_disk(intake: Intake) -> dict[str, set[str]]:
    return {
        name: {Path(record.media[0].path).parts[-3] for record in found}
        for name, found in records_of(intake).items()
    }


def test_splits_that_are_there_stay_and_validation_comes_from_training(
    with_splits: Path, tmp_path: Path
) -> None:
    intake = prepared(tmp_path / "run", data_path=with_splits, split_fractions="0.5 0.5 0")
    assert _splits_on_disk(intake) == {
        "train": {"train"},
        "validation": {"train"},
        "test": {"test"},
    }
    records = records_of(intake)
    assert {name: len(found) for name, found in records.items()} == {
        "train": 4,
        "validation": 4,
        "test": 4,
    }


def test_test_records_are_never_trained_on(with_splits: Path, made: Path, tmp_path: Path) -> None:
    alone = prepared(tmp_path / "a", data_path=with_splits, split_fractions="1 0 0")
    assert _splits_on_disk(alone) == {"train": {"train"}, "test": {"test"}}
    named = prepared(tmp_path / "b", data_path=with_splits, validation_data_path=made)
    assert _splits_on_disk(named)["train"] == {"train"}
    assert len(records_of(named)["validation"]) == 2 * NUM_CLIPS
    assert not named.test


def test_what_is_read_as_it_is_is_told_with_two_records(
    tune: Tune, generated: GeneratedData, tmp_path: Path
) -> None:
    console = Console(file=io.StringIO(), width=200)
    arguments = arguments_for(tmp_path / "run", data_path=generated.train)
    intake = take_in(arguments, run_folder=tmp_path, is_resumed=False, console=console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    rows = json.loads(generated.train.read_text())
    assert f"{generated.train}: llava (LLaVA" in told
    for row in rows[:2]:
        assert row["id"] in told
        assert f"assistant  {row['conversations'][1]['value']}" in told
    assert rows[2]["id"] not in told
    assert not (tmp_path / PREPARED_IN_RUN).exists()
    assert [source.path for source in intake.train] == [str(generated.train)]


def test_clips_that_validation_shares_with_training_are_told(
    tune: Tune, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=io.StringIO(), width=300)
    monkeypatch.setattr("fixtures_data.Console", lambda **_: console)
    flags = {"eval_strategy": "no", "max_steps": 1}
    tune(validation_data_path=generated.validation, **flags)
    assert "Warning" not in console.file.getvalue()  # type: ignore[attr-defined]
    tune(Path(f"{generated.folder}-twice"), validation_data_path=generated.train, **flags)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    clips = {row.get("video") or row["image"] for row in json.loads(generated.train.read_text())}
    assert f"Warning: validation shows {len(clips)} clips or pictures that training shows" in told
