"""Every command, flag, path and example of the README runs or exists."""

from __future__ import annotations

import argparse
import importlib
import json
import re
from pathlib import Path

import pytest

from flipbook.apps.plan import own_flags
from flipbook.cli import COMMANDS, OF_DATACLASSES
from flipbook.data.generated.write import write_clip
from flipbook.data.records import read_records
from flipbook.train.parsing import make_parser

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def _flags_of(command: str) -> set[str]:
    if command in OF_DATACLASSES:
        own = own_flags()._option_string_actions if command == "plan" else ()
        return {*make_parser()._option_string_actions, *own}
    parser = argparse.ArgumentParser()
    importlib.import_module(f"flipbook.apps.{command}").add_arguments(parser)
    return _flags_in(parser)


def _flags_in(parser: argparse.ArgumentParser) -> set[str]:
    """Return the flags of a parser and of the commands inside it."""
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    found = [_flags_in(one) for action in inner for one in action.choices.values()]
    return set(parser._option_string_actions).union(*found)


def test_every_flag_exists() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z_]+", README)) - {"--slow", "--help"}
    known = set().union(*(_flags_of(command) for command in COMMANDS))
    assert named <= known, f"the README names unknown flags: {named - known}"


def test_every_command_has_its_flags() -> None:
    for block in _blocks("bash"):
        for line in block.replace("\\\n", " ").splitlines():
            if found := re.search(r"flipbook (\w+)", line):
                flags = set(re.findall(r"--[a-z_]+", line))
                assert flags <= _flags_of(found.group(1)), line


def test_every_path_exists() -> None:
    named = re.findall(r"\b((?:scripts|docs|benchmarks)/[\w./-]*)", README)
    assert named
    for name in named:
        assert (ROOT / name).exists(), f"the README names {name}"


def test_defaults_in_the_table_are_the_real_ones() -> None:
    rows = re.findall(r"^\| `(--\w+)` \|.*\| `?([^|`]*)`? \|$", README, flags=re.MULTILINE)
    actions = make_parser()._option_string_actions
    checked = 0
    for flag, told in rows:
        default = actions[flag].default
        if isinstance(default, (int, float, str)) and told.strip():
            assert (
                told.split(",")[0].strip() == f"{default:g}"
                if not isinstance(default, str)
                else told.strip() == default
            ), flag
            checked += 1
    assert checked >= 4


def test_the_examples_are_records(tmp_path: Path) -> None:
    import numpy as np

    write_clip(tmp_path / "squat_001.mp4", np.zeros((4, 64, 64, 3), dtype=np.uint8))
    examples = _blocks("json")
    assert len(examples) == 2
    for number, text in enumerate(examples):
        name = "r.json" if text.lstrip().startswith("[") else "r.jsonl"
        path = tmp_path / f"{number}-{name}"
        path.write_text(text)
        found = read_records(str(path))
        assert not found.rejected
        (record,) = found.records
        assert record.media[0].kind == "video"
        assert json.dumps(record.conversations[0][-1].text) == (
            '"Keep your knees behind your toes."'
        )


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "docs/decisions.md"])
def test_pages_are_short_and_name_no_machine(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150 or name != "README.md"
    assert "/root/" not in text
    assert "/work/" not in text
