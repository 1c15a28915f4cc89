"""Does `flipbook sweep` write the points, and let the model read clips as was picked?"""

from __future__ import annotations

import argparse
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flipbook.apps.sweep import add_arguments, pick_of, print_sweep, run
from flipbook.cli import main
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import ArgumentError, DataError, StorageError
from flipbook.evaluate.points import Point
from flipbook.evaluate.sweep import RULES, Sweep, Swept
from flipbook.model.checkpoint import load_checkpoint
from flipbook.score.prediction import Prediction


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    few = ("--max_new_tokens", "1", "--max_questions", "3", "--num_cost_questions", "1")
    return parser.parse_args([*few, *words])


@pytest.fixture
def run_folder(fast_vlm_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(fast_vlm_folder, tmp_path / "run" / "model")
    return tmp_path / "run"


def swept(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    return content


def test_the_pick_becomes_how_the_model_reads_clips(
    run_folder: Path, generated: GeneratedData, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(run_folder), "--data_path", str(generated.test)]
    run(parsed(*words, "--frames", "1", "2", "--frame_sizes", "64", "--pick", "2x64"))
    content = swept(run_folder / "evaluation")
    assert {(p["frames"], p["frame_size"]) for p in content["points"]} == {(1, 64), (2, 64)}
    assert [p["frames"] for p in content["points"] if p["picked"]] == [2]
    assert content["trained_at"] == {"frames": 4, "frame_size": 128}
    assert content["num_questions"] == 3
    settings = load_checkpoint(run_folder).clip_settings
    assert (settings.num_frames, settings.frame_size) == (2, 64)
    text = capsys.readouterr().out
    assert "reads 2x64 px now; before 4x128 px" in text
    assert "picked" in text
    assert str(run_folder / "evaluation" / "sweep.json") in text
    run(parsed(*words, "--frames", "1", "--pick", "none"))  # sides: that of the model
    content = swept(run_folder / "evaluation")
    assert [(p["frames"], p["frame_size"], p["picked"]) for p in content["points"]] == [
        (1, 64, False)
    ]
    assert content["trained_at"] == {"frames": 4, "frame_size": 128}
    assert load_checkpoint(run_folder).clip_settings == settings


def test_a_point_decides_how_clips_are_read_and_not_their_records(
    run_folder: Path,
    generated: GeneratedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [row for row in json.loads(generated.test.read_text()) if "video" in row]
    clips = [{"num_frames": 4, "frame_size": 256}] * 3 + [{"sampler": "fps"}]
    own = [row | {"clip": clip} for row, clip in zip(rows, clips, strict=False)]
    part = {"type": "video", "path": rows[4]["video"], "times_s": [0.5]}
    asked = [part, {"type": "text", "text": "Which way?"}]
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": "left"}]
    own.append({"id": "instant", "messages": turns})
    data = tmp_path / "own.json"
    data.write_text(json.dumps(own))
    words = ["--model", str(run_folder), "--data_path", str(data), "--pick", "none"]
    words += ["--image_folder", str(generated.folder)]
    run(parsed(*words, "--frames", "1", "2", "--frame_sizes", "64", "128"))
    content = swept(run_folder / "evaluation")
    assert {
        (point["frames"], point["frame_size"]): point["visual_tokens"]
        for point in content["points"]
    } == {(1, 64): 1, (2, 64): 2, (1, 128): 4, (2, 128): 8}
    assert content["num_questions"] == 3
    assert "left out: 2 questions that have frames of their own" in capsys.readouterr().out


def test_the_table_fits_a_terminal() -> None:
    output = io.StringIO()
    judged = [Prediction(f"r{n}", 1, "t", "open", f"v{n}", "?", "a", "a", 1.0) for n in range(3)]
    point = Point(100, 1024)
    one = Swept(point, 25600.0, 12345.67, judged)
    found = Sweep([one], {}, frozenset({point}), point, RULES["auto"], "cpu, 2 threads", "float32")
    print_sweep(found, trained_at=point, console=Console(file=output, width=80))
    text = output.getvalue()
    assert "100x1024 px" in text
    assert "12345.7 ms" in text
    assert "front, trained, picked" in text
    assert "3 questions, on cpu, 2 threads in float32" in text
    assert "\u2026" not in text  # nothing is cut off


def test_a_point_that_is_refused_is_told(
    run_folder: Path, generated: GeneratedData, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_folder / "model" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["text_config"]["max_position_embeddings"] = 150
    path.write_text(json.dumps(config), encoding="utf-8")
    words = ["--model", str(run_folder), "--data_path", str(generated.test)]
    run(parsed(*words, "--frames", "2", "24", "--pick", "none"))
    assert "not asked at 24x128 px: record" in capsys.readouterr().out
    (refused,) = swept(run_folder / "evaluation")["refused"]
    assert "the limit is 150" in refused["reason"]


def test_a_model_of_others_is_swept_into_a_folder(
    fast_vlm_folder: Path, generated: GeneratedData, tmp_path: Path
) -> None:
    before = (fast_vlm_folder / "flipbook.json").read_bytes()
    words = ["--model", str(fast_vlm_folder), "--data_path", str(generated.test)]
    run(parsed(*words, "--frames", "1", "--pick", "none", "--out", str(tmp_path / "new")))
    assert swept(tmp_path / "new")["rule"] == "no point was to be picked"
    assert (fast_vlm_folder / "flipbook.json").read_bytes() == before


def test_what_cannot_be_swept_is_refused_before_the_model_is_loaded(
    run_folder: Path, generated: GeneratedData, tmp_path: Path
) -> None:
    words = ["--model", str(run_folder), "--data_path", str(generated.test)]
    with pytest.raises(ArgumentError, match="--max_questions is 0: give 1 or more"):
        run(parsed(*words, "--max_questions", "0"))
    with pytest.raises(ArgumentError, match="--pick '8 x 256' is unknown: give auto, none"):
        run(parsed(*words, "--pick", "8 x 256"))
    with pytest.raises(ArgumentError, match="--model tiny is no folder of yours"):
        run(parsed("--model", "tiny", "--data_path", "d", "--out", str(tmp_path)))
    with pytest.raises(DataError, match="no record asks about a clip"):
        run(parsed("--model", str(run_folder), "--data_path", str(generated.images)))
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file: cannot be made .*name another folder"):
        run(parsed(*words, "--pick", "none", "--out", str(tmp_path / "file")))


def test_a_damaged_clip_is_left_out_by_name(
    run_folder: Path,
    generated: GeneratedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second, *_ = json.loads(generated.test.read_text(encoding="utf-8"))
    (generated.folder / "cut.mp4").write_bytes(b"no video")
    path = generated.folder / "cut.json"
    path.write_text(json.dumps([first, second | {"id": "cut", "video": "cut.mp4"}]))
    words = ["--model", str(run_folder), "--data_path", str(path), "--frames", "1"]
    words += ["--pick", "none", "--out", str(tmp_path)]
    with pytest.raises(DataError, match=r"1 of 2 records (.|\n)*record cut: .*cut\.mp4: "):
        run(parsed(*words))
    run(parsed(*words, "--max_bad_fraction", "0.5"))
    assert "left out: record cut: " in capsys.readouterr().out


def test_a_pick_that_is_not_swept_is_refused(run_folder: Path, generated: GeneratedData) -> None:
    words = ["--model", str(run_folder), "--data_path", str(generated.test)]
    with pytest.raises(ArgumentError, match="--pick 8x256 is none of the points.*: 2x128"):
        run(parsed(*words, "--frames", "2", "--pick", "8x256"))


def test_a_pick_is_a_word_or_a_point() -> None:
    assert [pick_of("auto"), pick_of("none"), pick_of("8x256")] == ["auto", "none", Point(8, 256)]


def test_the_command_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--model", "tiny", "--data_path", "none.json"]) == 2
    assert "name one with --out" in capsys.readouterr().err
