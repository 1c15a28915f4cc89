"""`flipbook data check` says what is wrong, where the clean records are, and ends as told."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from fixtures_doctor import read_lines, row, serial, write_rows
from flipbook.apps.data.check import add_arguments, clip_settings_of, named_sources, run
from flipbook.data.doctor import check as checking
from flipbook.data.generated.write import GeneratedData
from flipbook.errors import ArgumentError, CheckpointError, DataError, StoppedError
from flipbook.model.words_of import load_words_of
from flipbook.video.settings import ClipSettings

__all__ = ["serial"]


def parse(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def manifest(generated: GeneratedData, tmp_path: Path) -> Path:
    """A good record and one of a clip that is not there, about generated clips elsewhere."""
    clip = next((generated.folder / "clips").iterdir())
    (tmp_path / "clips").symlink_to(clip.parent)
    rows = [row("good", f"clips/{clip.name}"), row("bad", "clips/gone.mp4")]
    return write_rows(tmp_path / "rows.jsonl", rows)


@pytest.mark.usefixtures("serial")
def test_generated_data_are_clean(
    generated: GeneratedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        parse(
            generated.train,
            "--validation_data_path",
            generated.validation,
            "--test_data_path",
            generated.test,
            "--image_folder",
            generated.folder,
            "--out",
            tmp_path,
        )
    )
    printed = capsys.readouterr().out
    assert "+ 0 quarantined =" in printed
    assert "as tiny reads them: 8 frames (uniform) of 128 px, pad, at most 8,192 tokens" in printed
    names = {path.name for path in tmp_path.iterdir()}
    assert {"train.jsonl", "validation.jsonl", "test.jsonl", "summary.json"} <= names


@pytest.mark.usefixtures("serial")
def test_clean_records_lie_beside_the_file_and_the_exit_tells(
    manifest: Path, generated: GeneratedData, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (manifest, "--image_folder", generated.folder, "--num_video_frames", 2)
    with pytest.raises(DataError, match="1 of 2 records are quarantined.*--max_bad_fraction"):
        run(parse(*words))
    out = manifest.with_name("rows_checked")
    (line,) = read_lines(out / "quarantine.jsonl")
    assert (line["id"], line["code"]) == ("bad", "missing")
    assert [one["id"] for one in read_lines(out / "rows.jsonl")] == ["good"]
    assert "2 frames (uniform)" in capsys.readouterr().out
    run(parse(*words, "--max_bad_fraction", 0.5))


@pytest.mark.usefixtures("serial")
def test_without_an_image_folder_the_clean_file_is_a_neighbour(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifest.parent / "clips").unlink()
    write_rows(manifest, [row("words alone", None), row("bad", "gone.mp4")])
    run(parse(manifest, "--max_bad_fraction", 0.5))
    clean = read_lines(manifest.with_name("rows_checked.jsonl"))
    assert [one["id"] for one in clean] == ["words alone"]
    out = manifest.with_name("out")
    run(parse(manifest, "--max_bad_fraction", 0.5, "--out", out))
    assert read_lines(out / "rows.jsonl") == clean
    printed = capsys.readouterr().out
    assert f"out/rows.jsonl (read it with --image_folder {manifest.parent})" in printed


def test_stopping_says_how_to_go_on(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "inspect", stop)
    with pytest.raises(StoppedError, match="Stopped by Ctrl-C.*the same command goes on from here"):
        run(parse(manifest))


def test_flags_go_before_what_the_model_says() -> None:
    saved = ClipSettings(frame_size=128, num_frames=8, system_prompt="Look.")
    flags = "--frame_sampler fps --frames_per_s 2 --min_frames 3 --max_frames 5"
    more = "--frame_size 256 --image_aspect_ratio crop --num_video_frames 6 --system_prompt Hi"
    assert clip_settings_of(parse("a.json", *flags.split(), *more.split()), saved) == ClipSettings(
        frame_size=256,
        num_frames=6,
        sampler="fps",
        aspect="crop",
        frames_per_s=2.0,
        min_frames=3,
        max_frames=5,
        system_prompt="Hi",
    )
    assert clip_settings_of(parse("a.json"), saved) == saved


def test_which_file_is_what() -> None:
    words = ("a.json", "b.json", "--test_data_path", "t.json", "--frames_fps", 2)
    found = named_sources(parse(*words, "--image_folder", "clips"))
    assert {split: [source.path for source in named] for split, named in found.items()} == {
        "own": ["a.json", "b.json"],
        "validation": [],
        "test": ["t.json"],
    }
    (test,) = found["test"]
    assert (test.image_folder, test.view.frames_fps) == ("clips", 2.0)


def test_wrong_flags(manifest: Path, tmp_path: Path) -> None:
    context = load_words_of("tiny").context_tokens
    for words, message in [
        (("--max_bad_fraction", 2), "--max_bad_fraction is 2: give 0 to 1"),
        (("--model_max_length", context + 1), f"--model_max_length is {context + 1}: give 1 to"),
        (("--model_max_length", 0), "--model_max_length is 0"),
        (("--frame_size", 100), "no multiple of 64"),
        (("--num_workers", 0), "--num_workers is 0"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            run(parse(manifest, *words))
    with pytest.raises(CheckpointError):
        run(parse(manifest, "--model", tmp_path / "gone"))
    assert not manifest.with_name("rows_checked").exists()


@pytest.mark.usefixtures("serial")
def test_what_evaluation_would_refuse_is_found(manifest: Path, generated: GeneratedData) -> None:
    clip = read_lines(manifest)[0]["video"]
    rows = [
        row("several", clip, "Several.", kind="count"),
        row("mean", clip, task="mean"),
        row("blank", clip, options=["", "A ball."]),
        row("good", clip, "3", kind="count"),
    ]
    test = write_rows(manifest.with_name("test.jsonl"), rows)
    words = ("--image_folder", generated.folder, "--test_data_path", test)
    with pytest.raises(DataError, match="5 of 6 records are quarantined"):
        run(parse(manifest, *words))
    lines = read_lines(manifest.with_name("rows_checked") / "quarantine.jsonl")
    found = {line["id"]: line["code"] for line in lines if line["file"] == str(test)}
    assert found == {"several": "unjudged", "mean": "task", "blank": "options"}
