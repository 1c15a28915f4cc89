"""Every command, flag, format and example of docs/datasets.md is real."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from flipbook.apps.data import COMMANDS as DATA_COMMANDS
from flipbook.apps.plan import own_flags
from flipbook.cli import OF_DATACLASSES
from flipbook.data.extras import KINDS
from flipbook.data.formats.table import FORMATS
from flipbook.data.records import read_records
from flipbook.data.sources import read_mixture
from flipbook.train.llava_flags import LLAVA_FLAGS
from flipbook.train.parsing import make_parser

PAGE = (Path(__file__).parents[1] / "docs" / "datasets.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def commands() -> list[list[str]]:
    """Return the words of every command of the page, comments left out."""
    lines = "\n".join(blocks("bash")).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line and not line.lstrip().startswith("#")]


def _parser(words: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"flipbook.apps.{words[0]}").add_arguments(parser)
    return parser


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_understood(words: list[str]) -> None:
    words = [w for w in words if w not in ("bash", "\n")]
    program, *words = words
    if program.endswith("finetune_video.sh"):
        words = ["train", *words]
    flags = {word for word in words if word.startswith("--")}
    if words[0] in OF_DATACLASSES:
        known = set(make_parser()._option_string_actions)
        if words[0] == "plan":
            known |= set(own_flags()._option_string_actions)
        assert flags <= known
    else:
        _parser(words).parse_args(words[1:])  # exits on what it does not know


def test_every_format_and_kind_is_told_of() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert set(FORMATS) <= named, f"not told of: {set(FORMATS) - named}"
    assert set(KINDS) <= named
    table = PAGE.split("## Formats")[1].split("##")[0]
    first_cells = re.findall(r"^\| ([^|]*) \|", table, flags=re.MULTILINE)
    told = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert told == set(FORMATS)
    told = set(re.findall(r"`(flipbook data \w+)`", PAGE))
    assert {f"flipbook data {name}" for name in DATA_COMMANDS} <= told


def test_every_flag_of_llava_is_told_of() -> None:
    table = PAGE.split("## Coming from")[1]
    told = set(re.findall(r"`--(\w+)", table))
    assert set(LLAVA_FLAGS) <= told, f"not told of: {set(LLAVA_FLAGS) - told}"
    left = {
        flag
        for cell in re.findall(r"^\| (`--[^|]*) \|", table, flags=re.MULTILINE)
        for flag in re.findall(r"--(\w+)", cell)
    } - {"image_aspect_ratio"}
    assert left == set(LLAVA_FLAGS)


def test_the_record_is_a_record(tmp_path: Path) -> None:
    (example,) = blocks("json")
    (tmp_path / "squat_001.mp4").write_bytes(b"x")
    (tmp_path / "r.jsonl").write_text(example)
    (record,) = read_records(tmp_path / "r.jsonl", strict=True).records
    (clip,) = record.media
    assert (clip.view.start_s, clip.view.end_s) == (3.0, 9.5)
    assert (record.extras.kind, record.extras.answer, record.extras.group) == (
        "classification",
        "yes",
        "anna",
    )
    assert json.loads(example)["split"] == record.extras.split


def test_the_mixture_is_a_mixture(tmp_path: Path) -> None:
    (example,) = blocks("yaml")
    (tmp_path / "mixture.yaml").write_text(example)
    first, second, third = read_mixture(tmp_path / "mixture.yaml", image_folder=None)
    assert first.view.num_frames == 16
    assert (second.weight, second.view.frame_size, dict(second.columns)["answer"]) == (2, 512, "a")
    assert third.weight == 0.25
    assert yaml.safe_load(example).keys() == {"datasets"}
