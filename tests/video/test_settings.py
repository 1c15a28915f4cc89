"""Settings of clip reading: what they refuse, what they save, what they give to the reader."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from flipbook.errors import ArgumentError, CheckpointError
from flipbook.video.settings import ClipSettings, only_here, refuse_only_here


@pytest.mark.parametrize(("frame_size", "tokens"), [(64, 1), (256, 16), (512, 64), (1024, 256)])
def test_a_frame_costs_one_token_for_64_by_64_px(frame_size: int, tokens: int) -> None:
    assert ClipSettings(frame_size=frame_size).tokens_per_frame == tokens


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("frame_size", 300, "no multiple of 64: give 256 or 320"),
        ("frame_size", 32, "give 64 or 128"),
        ("frame_size", 0, "whole number from 1 to 100,000"),
        ("frame_size", 256.0, "whole number"),
        ("num_frames", 0, "num_frames is 0"),
        ("num_frames", True, "num_frames is True"),
        ("sampler", "unifrom", "Did you mean 'uniform'"),
        ("aspect", "padd", "Did you mean 'pad'"),
        ("frame_snap", 0.5, "from 0 and below 0.5"),
        ("frame_snap", -0.1, "frame_snap is -0.1"),
        ("frame_snap", "0.1", "frame_snap is '0.1'"),
        ("frames_per_s", 0, "above 0"),
        ("frames_per_s", float("nan"), "frames_per_s is nan"),
        ("frames_per_s", float("inf"), "frames_per_s is inf"),
        ("min_frames", 65, "min_frames is 65 and max_frames is 64"),
        ("system_prompt", 3, "give text"),
    ],
)
def test_a_wrong_value_is_refused_by_name(field: str, value: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ClipSettings(**{"frame_size": 256, field: value})  # type: ignore[arg-type]


def test_settings_come_back_as_saved(tmp_path: Path) -> None:
    settings = ClipSettings(
        frame_size=512, num_frames=16, sampler="fps", aspect="crop", system_prompt="Sé breve."
    )
    assert settings.save(tmp_path).name == "flipbook.json"
    assert ClipSettings.load(tmp_path) == settings


def test_a_folder_without_settings_gives_none(tmp_path: Path) -> None:
    assert ClipSettings.load(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "no object under"),
        ('{"format": 1}', "no object under"),
        ('{"format": 9, "clip_settings": {"frame_size": 64}}', '"format" is 9'),
        ('{"format": 1, "clip_settings": {"frame_sise": 64}}', "Did you mean 'frame_size'"),
        ('{"format": 1, "clip_settings": {"frame_size": 65}}', "no multiple of 64"),
        ('{"format": 1, "clip_settings": {}}', "frame_size"),
    ],
)
def test_a_damaged_file_is_a_checkpoint_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "flipbook.json").write_text(text)
    with pytest.raises(CheckpointError, match=message) as caught:
        ClipSettings.load(tmp_path)
    assert "flipbook.json" in str(caught.value)


def test_every_setting_of_the_clip_reaches_the_reader() -> None:
    settings = ClipSettings(frame_size=256)
    later = {"system_prompt", "timestamps", "num_clips", "layout", "slow_frames"}
    names = {field.name for field in dataclasses.fields(settings)} - later
    assert set(settings.clip_kwargs()) == names


def test_the_reader_takes_every_setting() -> None:
    decode = pytest.importorskip("flipbook.video.decode")
    taken = set(inspect.signature(decode.read_clip).parameters)
    assert set(ClipSettings(frame_size=256).clip_kwargs()) <= taken


def test_the_file_is_readable_by_a_person(tmp_path: Path) -> None:
    path = ClipSettings(frame_size=256).save(tmp_path)
    assert json.loads(path.read_text())["clip_settings"]["frame_size"] == 256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timestamps": 1}, "timestamps is 1: give true or false"),
        ({"clip_share": 0.0}, "clip_share is 0.0: give a number above 0 to 1"),
        ({"clip_place": 1.5}, "clip_place is 1.5: give a number from 0 to 1"),
        ({"num_clips": 0}, "num_clips is 0"),
        ({"min_frame_change": 256}, "min_frame_change is 256: give a number from 0 to 255"),
        ({"min_frame_change": 4, "frame_snap": 0.2}, "frame_snap moves them.*Leave one of them"),
        ({"min_frame_change": 4, "timestamps": True}, "min_frame_change chooses them later"),
        ({"sampler": "sparse", "timestamps": True}, "the sampler sparse chooses them later"),
    ],
)
def test_instants_that_cannot_be_meant(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ClipSettings(frame_size=256, **changes)


def test_what_no_other_program_follows_is_named_and_refused() -> None:
    plain = ClipSettings(frame_size=256, sampler="segments", clip_share=0.5, num_clips=9)
    assert only_here(plain) == []
    refuse_only_here(plain, reader="nobody")
    assert only_here(ClipSettings(frame_size=256, timestamps=True)) == ["--timestamps"]
    both = ClipSettings(frame_size=256, sampler="sparse", min_frame_change=4.0)
    assert only_here(both) == ["--frame_sampler sparse", "--min_frame_change 4"]
    with pytest.raises(
        ArgumentError, match="sparse and --min_frame_change 4, which a phone does not follow"
    ):
        refuse_only_here(both, reader="a phone")
