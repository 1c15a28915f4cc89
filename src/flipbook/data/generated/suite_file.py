"""What is the suite in a folder made with, and is it whole?

    folder, flags that were named  ->  the settings of the suite that is there, or of a new one
    folder, settings               ->  Suite: the one that is there, or else written now

    suite.json  the settings, and whether all clips and manifests are written

A suite is never made anew with other settings in the same folder: its evaluations would be those of
other clips, and some of its clips would stay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flipbook.data.generated.asking import WORDS
from flipbook.data.generated.scenes import SUITE_TASKS
from flipbook.data.generated.suite import OnProgress, Suite, check_suite, write_suite
from flipbook.data.parts import shown
from flipbook.data.written import make_folder, write_json_whole
from flipbook.errors import ArgumentError, DataError

SUITE_FILE = "suite.json"
MANIFESTS = ("test", "train", "validation")
DEFAULTS: dict[str, Any] = {
    "tasks": list(SUITE_TASKS),
    "clips_per_task": 24,
    "train_clips_per_task": 0,
    "form": WORDS,
    "seed": 0,
}
_WHOLE = "whole"  # beside the settings: whether everything is written

Settings = dict[str, Any]  # the names of DEFAULTS


def settings_of_suite(folder: Path, named: Mapping[str, Any]) -> Settings:
    """Return the settings of the suite in a folder; where there is none, those named or default.

    Args:
        named: what was asked for, by the names of `DEFAULTS`; what was not is left out.

    Raises:
        ArgumentError: the suite was made with others, a setting is out of range, or the folder
            holds manifests of something else.
        DataError: `suite.json` is damaged.
    """
    _check({**DEFAULTS, **named})
    made = _read(folder)
    if made is None:
        foreign = [name for name in MANIFESTS if (folder / f"{name}.json").exists()]
        if foreign:
            raise ArgumentError(
                f"{folder} holds {foreign[0]}.json and no {SUITE_FILE}, which says what a suite is "
                "made with: it would be replaced. Name another folder with --out, or move it away."
            )
        return {**DEFAULTS, **named, "tasks": _each_once(named.get("tasks", DEFAULTS["tasks"]))}
    other = [name for name, value in named.items() if not _are_same(name, value, made[name])]
    if other:
        lines = "; ".join(
            f"--{name} is {_in_words(named[name])}, and was {_in_words(made[name])}"
            for name in other
        )
        raise ArgumentError(
            f"{folder} holds a suite that was made with other settings: {lines}. Leave these flags "
            "out to go on with it, name another folder with --out, or remove it."
        )
    return {name: made[name] for name in DEFAULTS}


def is_whole(folder: Path, settings: Settings) -> bool:
    """Whether the suite in a folder has all of its clips and manifests.

    Raises:
        DataError: `suite.json` is damaged.
    """
    made = _read(folder)
    manifests = MANIFESTS if settings["train_clips_per_task"] else MANIFESTS[:1]
    return (
        made is not None
        and made[_WHOLE]
        and all((folder / f"{name}.json").is_file() for name in manifests)
    )


def open_suite(folder: Path, settings: Settings, *, on_progress: OnProgress | None = None) -> Suite:
    """Return the suite in a folder, after writing what of it is not there.

    Args:
        settings: of `settings_of_suite`.

    Raises:
        DataError: `suite.json` is damaged.
        StorageError: the folder cannot be made.
        OSError: it cannot be written to.
    """
    if is_whole(folder, settings):
        test, train, validation = (folder / f"{name}.json" for name in MANIFESTS)
        has_more = bool(settings["train_clips_per_task"])
        return Suite(folder, test, train if has_more else None, validation if has_more else None)
    make_folder(folder)
    write_json_whole(folder / SUITE_FILE, {**settings, _WHOLE: False})
    suite = write_suite(folder, **settings, on_progress=on_progress)
    write_json_whole(folder / SUITE_FILE, {**settings, _WHOLE: True})
    return suite


def _check(settings: Mapping[str, Any]) -> None:
    if settings["seed"] < 0:
        raise ArgumentError(f"--seed is {settings['seed']}: give 0 or more.")
    check_suite(
        settings["tasks"],
        settings["form"],
        settings["clips_per_task"],
        settings["train_clips_per_task"],
    )


def _read(folder: Path) -> Settings | None:
    """Return what `suite.json` says; None where there is none."""
    path = folder / SUITE_FILE
    if not path.exists():
        return None
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        wrong = _wrong_in(made)
        if wrong is None:
            _check(made)
    except (OSError, RecursionError, ValueError, ArgumentError) as error:
        wrong = str(error).rstrip(".")
    if wrong is not None:
        raise DataError(
            f"{path}: does not say what the suite was made with ({wrong}). Name another folder "
            f"with --out, or remove {folder}."
        )
    return dict(made)


def _wrong_in(made: Any) -> str | None:
    """Return which value is none of its type; None where all are."""
    if not isinstance(made, dict):
        return "it is no JSON object"
    like = {**DEFAULTS, _WHOLE: True}
    for name, example in like.items():
        value = made.get(name)
        if type(value) is not type(example):
            return f"its {name!r} is {shown(value)}"
    if not all(isinstance(task, str) for task in made["tasks"]):
        return f"its 'tasks' are {shown(made['tasks'])}"
    return None


def _are_same(name: str, first: Any, second: Any) -> bool:
    return set(first) == set(second) if name == "tasks" else bool(first == second)


def _each_once(tasks: list[str]) -> list[str]:
    return list(dict.fromkeys(tasks))


def _in_words(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)
