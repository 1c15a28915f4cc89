"""What lies in RUN/prepared is flipbook's, and a change of what it was made of is noticed."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fixtures_data import SHORT_RUN, Tune
from flipbook.apps.encode import encode
from flipbook.data.generated.write import GeneratedData
from flipbook.data.sources import Source
from flipbook.errors import ArgumentError, DataError
from flipbook.train.intake import prepared as module
from flipbook.train.intake import taking
from flipbook.train.intake.prepared import MARK_FILE, PREPARED_IN_RUN, changed, hashes_of
from flipbook.train.intake.taking import take_in
from flipbook.train.lock import only_run_in
from flipbook.train.parsing import parse_arguments


def _arguments(run: Path, **flags: Any) -> Any:
    settings = SHORT_RUN | {"output_dir": run, "split_fractions": [1, 0, 0]} | flags
    return parse_arguments(
        [
            word
            for name, value in settings.items()
            for word in (f"--{name}", *map(str, value if isinstance(value, list) else [value]))
        ]
    )


def _take(run: Path, **flags: Any) -> taking.Intake:
    console = Console(file=io.StringIO())
    return take_in(_arguments(run, **flags), run_folder=run, is_resumed=False, console=console)


def _classes(generated: GeneratedData, folder: Path) -> Path:
    """A folder for each of two classes, with a clip in each."""
    clips = sorted(generated.folder.rglob("*.mp4"))
    for name, clip in zip(("left", "right"), clips, strict=False):
        (folder / name).mkdir(parents=True)
        shutil.copy(clip, folder / name / clip.name)
    return folder


@pytest.mark.guarantee(1)
def test_clips_of_a_user_are_never_removed(generated: GeneratedData, tmp_path: Path) -> None:
    run = tmp_path / "run"
    own = _classes(generated, run / PREPARED_IN_RUN / "train")
    before = sorted(run.rglob("*"))
    with pytest.raises(ArgumentError, match="lies in .*Nothing was changed"):
        _take(run, data_path=own)
    assert sorted(path for path in run.rglob("*")) == before
    other = _classes(generated, tmp_path / "other")
    with pytest.raises(ArgumentError, match="files that flipbook did not make"):
        _take(run, data_path=other)
    assert sorted(run.rglob("*")) == before
    _take(tmp_path / "second", data_path=other)
    clean = tmp_path / "second" / PREPARED_IN_RUN / "checked" / "train.jsonl"
    assert clean.is_file()
    with pytest.raises(ArgumentError, match="lies in"):
        _take(tmp_path / "second", data_path=clean, check_media=True)
    assert clean.is_file()


def test_what_was_made_before_is_made_anew(generated: GeneratedData, tmp_path: Path) -> None:
    data = _classes(generated, tmp_path / "clips")
    _take(tmp_path / "run", data_path=data)
    folder = tmp_path / "run" / PREPARED_IN_RUN
    assert (folder / MARK_FILE).is_file()
    (folder / "train" / "stale").mkdir()
    _take(tmp_path / "run", data_path=data)
    assert not (folder / "train" / "stale").exists()


def test_every_change_of_records_or_media_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE_BYTES", 100)
    monkeypatch.setattr(module, "_END_BYTES", 10)
    data, run = tmp_path / "data", tmp_path / "data" / "run"
    run.mkdir(parents=True)
    (tmp_path / "outside.csv").write_text("a,b")
    (data / "link.csv").symlink_to(tmp_path / "outside.csv")
    (data / "table.csv").write_text("x,y")
    (data / "clip.mp4").write_bytes(bytes(9))
    (data / "large.parquet").write_bytes(bytes(1000))

    def hashes() -> dict[str, str]:
        return hashes_of([Source(str(data))], run_folder=run)

    first = hashes()
    assert list(first) == [str(data)]
    (run / "log.jsonl").write_text("{}")  # of the run itself
    (data / "notes.md").write_text("no data")
    (tmp_path / "outside.csv").write_text("c,d")  # is not read
    assert changed(first, hashes()) == []
    edits = {
        "table.csv": b"x,z",
        "clip.mp4": bytes(10),
        "large.parquet": bytes(999) + b"1",
        "new.mp4": b"",
    }
    for name, content in edits.items():
        path = data / name
        old = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        assert changed(first, hashes()) == [str(data)], name
        if old is None:
            path.unlink()
        else:
            path.write_bytes(old)
    os.rename(data / "clip.mp4", data / "other.mp4")
    assert changed(first, hashes()) == [str(data)]


def test_data_that_change_while_they_are_read_are_refused(
    generated: GeneratedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _classes(generated, tmp_path / "clips")
    prepare = taking.prepare

    def slow(*args: Any, **kwargs: Any) -> taking.Intake:
        shutil.copytree(data / "left", data / "late")
        return prepare(*args, **kwargs)

    monkeypatch.setattr(taking, "prepare", slow)
    with pytest.raises(DataError, match="clips: changed while it was read"):
        _take(tmp_path / "run", data_path=data)


@pytest.fixture
def ended(generated: GeneratedData, tune: Tune, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A run that ended, and its flags; its records are a copy of those that are generated."""
    data = shutil.copy(generated.train, tmp_path / "train.json")
    flags = {"data_path": data, "image_folder": generated.folder, "check_media": True}
    flags |= {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    tune(tmp_path / "run", **flags)
    return tmp_path / "run", flags


@pytest.mark.guarantee(4)
def test_a_run_goes_on_with_the_records_that_it_began_with(
    generated: GeneratedData, tune: Tune, ended: tuple[Path, dict[str, Any]]
) -> None:
    run, flags = ended
    data, rows = flags["data_path"], json.loads(generated.train.read_text())
    for name in ("checkpoint-4", "model"):
        shutil.rmtree(run / name)
    data.write_text(json.dumps([*rows, rows[-1] | {"id": "extra"}]))
    tune(run, **flags, resume_from_checkpoint="latest")
    totals = json.loads((run / "ledger.json").read_text())
    assert totals["adds_up"] and totals["named"] == len(rows)
    with pytest.raises(ArgumentError, match="goes on with the data that it began with"):
        tune(run, **flags | {"data_path": generated.train}, resume_from_checkpoint="latest")


@pytest.mark.guarantee(9)
def test_encoding_leaves_the_data_of_a_run_as_they_are(
    generated: GeneratedData, ended: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    run, flags = ended
    data, rows = flags["data_path"], json.loads(generated.train.read_text())
    before = {path: path.read_bytes() for path in (run / PREPARED_IN_RUN).rglob("*.json*")}
    data.write_text(json.dumps(rows[1:]))
    stored = flags | {"frame_features": "store", "feature_store": tmp_path / "features"}
    arguments = _arguments(run, **stored)
    with only_run_in(run), pytest.raises(ArgumentError, match="another run is at work there"):
        encode(arguments, console=Console(file=io.StringIO()))
    encode(arguments, console=Console(file=io.StringIO()))
    assert {path: path.read_bytes() for path in before} == before
