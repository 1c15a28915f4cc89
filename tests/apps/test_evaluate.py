"""Does `flipbook evaluate` find the start model, write the report, and refuse what is bad?"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flipbook.apps.evaluate import add_arguments, base_of, report_folder, run, store_of
from flipbook.data.generated.write import GeneratedData, write_clip
from flipbook.errors import ArgumentError, CheckpointError, DataError, NoModelError, StorageError


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    few = ("--max_new_tokens", "1", "--max_questions", "3", "--num_cost_questions", "0")
    return parser.parse_args([*words, *few])


@pytest.fixture
def run_folder(fast_vlm_folder: Path, tmp_path: Path) -> Path:
    """A run as training leaves it: the model inside, and the name of its start."""
    shutil.copytree(fast_vlm_folder, tmp_path / "run" / "model")
    config = f"model_name_or_path: {fast_vlm_folder}\nlora_r: 0\n"
    (tmp_path / "run" / "config.yaml").write_text(config, encoding="utf-8")
    return tmp_path / "run"


def test_a_run_is_compared_with_its_own_start(
    run_folder: Path, generated: GeneratedData, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (str(generated.test), str(generated.images))
    run(parsed("--model", str(run_folder), "--data_path", *data))
    content = json.loads((run_folder / "evaluation" / "scores.json").read_text(encoding="utf-8"))
    assert {"untuned", "tuned", "blank", "still_images_before"} <= content.keys()
    assert set(content["provenance"]["data_files"]) == set(data)
    assert content["provenance"]["left_out"] == []
    text = capsys.readouterr().out
    assert "The tuned model answers" in text
    assert str(run_folder / "evaluation" / "scores.json") in text


def test_a_bad_record_refuses_the_evaluation_or_is_named(
    fast_vlm_folder: Path,
    generated: GeneratedData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = json.loads(generated.test.read_text(encoding="utf-8"))[:3]
    rows[1]["video"] = "clips/missing.mp4"
    path = generated.folder / "one_missing.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    words = ("--model", str(fast_vlm_folder), "--data_path", str(path), "--out", str(tmp_path))
    with pytest.raises(DataError, match=r"1 of 3 records cannot be used \(33\.3%(.|\n)*missing"):
        run(parsed(*words))
    run(parsed(*words, "--max_bad_fraction", "0.5"))
    assert f"left out: record {rows[1]['id']}" in capsys.readouterr().out
    content = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert "missing.mp4" in content["provenance"]["left_out"][0]
    assert "untuned" not in content


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (("--judge_model", "/nonexist"), NoModelError, "no model folder '/nonexist'"),
        (("--similarity_model", "/nonexist"), ArgumentError, "--similarity_model /nonexist"),
        (("--base", "/nonexist"), NoModelError, "no model folder '/nonexist'"),
        (("--out", "FILE"), StorageError, "FILE: cannot be made"),
        (("--out", "/proc/nope"), StorageError, "/proc/nope: cannot be made"),
        (("--feature_store", "FILE"), ArgumentError, "FILE is a file, and features .*give none"),
        (("--data_path", "mean.json"), DataError, "record r1: 'task' is 'mean'"),
        (("--data_path", "count.json"), DataError, "record r1: asks for a number"),
        (("--data_path", "cut.json"), DataError, r"record r1: .*cut\.mp4: cannot be read"),
    ],
)
def test_what_would_fail_is_known_before_the_first_answer(
    words: tuple[str, ...],
    kind: type[Exception],
    message: str,
    run_folder: Path,
    generated: GeneratedData,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(generated.folder)
    Path("FILE").touch()
    Path("cut.mp4").write_bytes(b"no video")
    first, second, *_ = json.loads(generated.test.read_text(encoding="utf-8"))
    bad = {"mean": {"task": "mean"}, "count": {"kind": "count", "answer": "several"}}
    for name, changes in (bad | {"cut": {"video": "cut.mp4"}}).items():
        rows = [first, second | {"id": "r1"} | changes]
        Path(f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")

    def answer(*_: object, **__: object) -> None:
        pytest.fail("an answer was asked for")

    monkeypatch.setattr("flipbook.apps.evaluate.evaluate_model", answer)
    named = ("--model", str(run_folder), "--data_path", str(generated.test))
    with pytest.raises(kind, match=message):
        run(parsed(*named, *words))
    assert not (run_folder / "evaluation").exists()


def test_a_damaged_clip_is_left_out_of_every_row(
    run_folder: Path, generated: GeneratedData, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(generated.test.read_text(encoding="utf-8"))[:6]
    rows = [row | {"task": "t"} for row in rows]  # of one task, the first, third and fifth
    (generated.folder / "cut.mp4").write_bytes(b"no video")
    rows[2] |= {"id": "cut", "video": "cut.mp4"}
    paths = {name: generated.folder / f"{name}.json" for name in ("all", "sound")}
    for name, own in (("all", rows), ("sound", rows[:2] + rows[3:])):
        paths[name].write_text(json.dumps(own), encoding="utf-8")
    more = ("--max_bad_fraction", "0.2", "--out")
    for name, path in paths.items():
        out = str(run_folder / name)
        run(parsed("--model", str(run_folder), "--data_path", str(path), *more, out))
    assert "left out: record cut: " in capsys.readouterr().out
    content = json.loads((run_folder / "all" / "scores.json").read_text(encoding="utf-8"))
    assert "cut.mp4: cannot be read" in content["provenance"]["left_out"][0]
    both = [(run_folder / name / "predictions.jsonl").read_bytes() for name in paths]
    assert both[0] == both[1] and b'"other_clip"' in both[0]


def test_the_start_model_is_found_or_named(run_folder: Path, fast_vlm_folder: Path) -> None:
    assert base_of(str(run_folder), None) == str(fast_vlm_folder)
    assert base_of(str(run_folder), "tiny") == "tiny"
    assert base_of(str(run_folder), "none") is None
    assert base_of(str(fast_vlm_folder), None) is None


def test_an_adapter_is_scored_on_the_base_that_is_named(
    lost_adapter: Path, fast_vlm_folder: Path, generated: GeneratedData
) -> None:
    words = ["--model", str(lost_adapter), "--data_path", str(generated.test)]
    with pytest.raises(CheckpointError, match="--base MODEL"):
        run(parsed(*words, "--base", "none"))
    run(parsed(*words, "--base", str(fast_vlm_folder)))
    content = json.loads((lost_adapter / "evaluation" / "scores.json").read_text(encoding="utf-8"))
    assert content["untuned"] == content["tuned"]  # an adapter that is new changes nothing


def test_a_damaged_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ArgumentError, match=r"config\.yaml: cannot be read (.|\n)*--base"):
        base_of(str(tmp_path), None)


def test_the_report_needs_a_folder(tmp_path: Path) -> None:
    assert report_folder("tiny", str(tmp_path)) == tmp_path
    assert report_folder(str(tmp_path), None) == tmp_path / "evaluation"
    with pytest.raises(ArgumentError, match="--model tiny is no folder.*--out"):
        report_folder("tiny", None)


def test_numbers_below_one_are_refused(generated: GeneratedData) -> None:
    words = parsed("--model", "m", "--data_path", str(generated.test), "--batch_size", "0")
    with pytest.raises(ArgumentError, match="--batch_size is 0: give 1 or more"):
        run(words)


def test_folders_by_class_are_scored_too(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, label in enumerate(("jump", "squat")):
        (tmp_path / "clips" / label).mkdir(parents=True)
        frames = np.full((4, 64, 64, 3), 60 * number, dtype=np.uint8)
        write_clip(tmp_path / "clips" / label / "a.mp4", frames)
    run(
        parsed("--model", str(run_folder), "--data_path", str(tmp_path / "clips"), "--base", "none")
    )
    assert "format: class_folders" in capsys.readouterr().out
    content = json.loads((run_folder / "evaluation" / "scores.json").read_text(encoding="utf-8"))
    assert content["num_questions"]["tuned"] == {"no_task": 2}
    (records,) = content["provenance"]["data_files"]
    assert records.endswith("clips.jsonl")


def test_where_features_are_kept_is_known_from_the_run(run_folder: Path, tmp_path: Path) -> None:
    run_name, config = str(run_folder), run_folder / "config.yaml"
    assert store_of(run_name, None) is None
    assert store_of(run_name, str(tmp_path)) == tmp_path
    config.write_text("frame_features: store\n", encoding="utf-8")
    assert store_of(run_name, None) == run_folder.parent / "features"
    assert store_of(run_name, "none") is None
    config.write_text("frame_features: store\nfeature_store: /kept\n", encoding="utf-8")
    assert store_of(run_name, None) == Path("/kept")
    assert store_of("tiny", None) is None


def test_two_processes_write_what_one_does(
    run_folder: Path, generated: GeneratedData, tmp_path: Path
) -> None:
    """Byte for byte, though each answers only its share."""
    (generated.folder / "cut.mp4").write_bytes(b"no video")
    rows = json.loads(generated.test.read_text(encoding="utf-8"))
    (generated.folder / "cut.json").write_text(
        json.dumps([rows[0] | {"id": "cut", "video": "cut.mp4"}, *rows]), encoding="utf-8"
    )
    data = [str(generated.folder / "cut.json"), str(generated.images)]
    words = ["--model", str(run_folder), "--data_path", *data, "--max_bad_fraction", "0.1"]
    words += ["--max_new_tokens", "3", "--batch_size", "2", "--num_cost_questions", "0"]
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for name, before in (("one", []), ("two", several)):
        done = subprocess.run(
            [sys.executable, *before, "-m", "flipbook", "evaluate", *words]
            + ["--out", str(tmp_path / name / "report")],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("The tuned model answers") == 1
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "report").iterdir()}
        for name in ("one", "two")
    )
    assert {"predictions.jsonl", "scores.json", "report.html"} <= one.keys()
    assert one == two


@pytest.mark.slow
def test_a_clip_that_one_of_two_processes_cannot_read_ends_both(
    run_folder: Path, generated: GeneratedData, tmp_path: Path
) -> None:
    rows = json.loads(generated.test.read_text(encoding="utf-8"))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    rows = rows[:6] + [rows[0] | {"id": "bad", "video": str(tmp_path / "bad.mp4")}]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "flipbook", "evaluate", "--model", str(run_folder), "--batch_size", "1"]
    command += ["--data_path", str(path), "--image_folder", str(generated.folder)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert re.search(r"^flipbook( \(rank \d\))?: ", done.stderr, re.MULTILINE)
    assert "bad.mp4" in done.stderr
    assert not (run_folder / "evaluation" / "scores.json").exists()
