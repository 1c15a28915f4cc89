"""Every guarantee has its tests, and every test that the page names is there and says so too."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from fixtures_guarantees import GUARANTEES_PAGE, guarantees_of

ROOT = Path(__file__).parents[1]
PAGE = GUARANTEES_PAGE.read_text("utf-8")
SECTIONS = dict(
    zip(guarantees_of(PAGE), re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:], strict=False)
)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _markers_of(path: Path, name: str) -> set[int]:
    """Return the guarantees that a test says it proves, by itself or by its module."""
    tree = ast.parse(path.read_text("utf-8"))
    found = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    assert found, f"{path} has no {name}"
    words = [ast.unparse(decorator) for decorator in found[0].decorator_list]
    words += [
        ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    return {int(number) for word in words for number in re.findall(r"guarantee\((\d+)\)", word)}


def test_there_are_ten() -> None:
    assert list(guarantees_of(PAGE)) == list(range(1, 11))


@pytest.mark.parametrize("number", range(1, 11))
def test_each_is_proven_by_tests_that_are_there(number: int) -> None:
    named = NAMED.findall(SECTIONS[number])
    assert named
    for file, name in named:
        assert number in _markers_of(ROOT / file, name), f"{file}::{name}"


def test_every_test_that_proves_one_is_on_the_page() -> None:
    on_page = {f"{file}::{name}" for file, name in NAMED.findall(PAGE)}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                name = f"{path.relative_to(ROOT)}::{node.name}"
                assert (name in on_page) == bool(_markers_of(path, node.name)), name
