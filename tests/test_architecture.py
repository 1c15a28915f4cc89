"""The shape of the code: which way imports go, how long things are, that no setting is dead."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from flipbook.train.arguments import DataArguments, ModelArguments, TrainingArguments

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "flipbook"
ORDER = ["errors", "video", "data", "model", "score", "train", "evaluate", "export", "apps", "cli"]
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MODULES = sorted(SOURCE.rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "scripts").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")])


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _imported(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name.startswith("flipbook.")]


def _place(dotted: str) -> int:
    return ORDER.index(dotted.split(".")[1])


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_go_only_leftwards(path: Path) -> None:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    if parts[0] in ("__init__", "__main__"):
        return
    own = ORDER.index(parts[0])
    later = [n for n in _imported(ast.parse(path.read_text())) if _place(n) > own]
    assert not later, f"{path.name} imports from its right: {later}"


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=_name)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES
    functions = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = {f.name: n for f in functions if (n := f.end_lineno - f.lineno + 1) > MAX_FUNCTION_LINES}
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_every_module_says_what_it_answers(path: Path) -> None:
    text = path.read_text()
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


@pytest.mark.parametrize("kind", [ModelArguments, DataArguments, TrainingArguments])
def test_every_setting_is_read_somewhere(kind: type) -> None:
    own = [
        name for name in kind.__annotations__ if name in {f.name for f in dataclasses.fields(kind)}
    ]
    inherited = {f.name for f in dataclasses.fields(TrainingArguments.__mro__[1])}
    fields = ("arguments.py", "data_arguments.py", "parsing.py")
    texts = [p.read_text() for p in MODULES if p.name not in fields]
    texts.append((SOURCE / "train" / "arguments.py").read_text().split("def __post_init__", 1)[1])
    unread = [
        name
        for name in own
        if not any(f".{name}" in text for text in texts)
        and not (kind is TrainingArguments and name in inherited)
    ]
    assert not unread, f"parsed and not used: {unread}"
