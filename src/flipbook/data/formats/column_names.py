"""Which column of a table holds the video, which the question, which the answer?

    --map video=path,question=q,answer=a  ->  {"video": "path", "question": "q", "answer": "a"}
    columns called path, prompt, caption  ->  the same, guessed

A guess is made only from the names that people usually give, and is told to the user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flipbook.data.extras import KINDS, split_named
from flipbook.errors import ArgumentError, ManifestError, did_you_mean

Columns = dict[str, str]
MEDIA_FIELDS = ("video", "image")
LABEL_NAMES = ("label", "class", "category", "action", "class_name", "label_name")

# What a field is usually called, the most certain first.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "video": (
        "video", "videos", "video_path", "video_file", "clip", "clip_path", "path", "file",
        "file_name", "filename", "file_path", "filepath", "video_name", "video_id",
    ),
    "image": ("image", "images", "image_path", "image_file", "picture"),
    "question": ("question", "prompt", "instruction", "query", "q"),
    "answer": (
        "answer", "response", "output", "completion", "caption", "captions", "description", "text",
        "a", "feedback", *LABEL_NAMES,
    ),
    "system": ("system", "system_prompt"),
    "start_s": ("start_s", "start", "start_time", "time_start"),
    "end_s": ("end_s", "end", "end_time", "time_end"),
    "options": ("options", "choices", "candidates"),
    "references": ("references",),
    "task": ("task",),
    "kind": ("kind",),
    "group": ("group",),
    "split": ("split",),
    "id": ("id", "question_id", "sample_id", "uid", "qid"),
    "clip": (),
}  # fmt: skip

# Columns of these names may hold something else; they are taken only if all their values fit.
_ONLY_IF: dict[str, Callable[[Any], bool]] = {
    "kind": lambda value: value in KINDS,
    "split": lambda value: isinstance(value, str) and split_named(value) is not None,
    "task": lambda value: isinstance(value, str),
    "system": lambda value: isinstance(value, str),
}


def parse_map(text: str) -> Columns:
    """Return which column holds what, of `video=path,question=q`.

    Raises:
        ArgumentError: it is not of this form, or says something twice or of an unknown field.
    """
    found: Columns = {}
    for item in text.split(","):
        name, mark, column = (part.strip() for part in item.partition("="))
        if not mark or not name or not column:
            raise ArgumentError(
                f"--map has {item!r}; write it as video=COLUMN,question=COLUMN,answer=COLUMN."
            )
        _check_field(name)
        if name in found:
            raise ArgumentError(f"--map names {name!r} twice; name one column.")
        found[name] = column
    return found


def guess_columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Return which column holds what, as far as their names tell; each column for one thing."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    found: Columns = {}
    for field, usual in USUAL_NAMES.items():
        free = [name for name in names if name not in found.values()]
        column = _first_called(usual, free)
        if column is not None and _fits(field, column, rows):
            found[field] = column
    return found


def is_enough(columns: Mapping[str, str]) -> bool:
    """Return whether there is something to show and something to learn."""
    return bool(set(MEDIA_FIELDS) & columns.keys()) and "answer" in columns


def check_columns(columns: Mapping[str, str], names: Iterable[str], *, path: object) -> None:
    """Check that a table has the columns that the user names.

    Raises:
        ManifestError: one is missing.
        ArgumentError: no column for the video or image, or none for the answer, is named, or one
            for something unknown.
    """
    known = list(names)
    for field, column in columns.items():
        _check_field(field)
        for name in split_names(column, known) if field == "options" else [column]:
            if name not in known:
                raise ManifestError(
                    f"{path}: --map {field}={column}, and there is no column {name!r}."
                    f"{did_you_mean(name, known)} There are: {', '.join(known)}."
                )
    if not set(MEDIA_FIELDS) & columns.keys():
        raise ArgumentError("--map names no column for the video; add video=COLUMN.")
    if "answer" not in columns:
        raise ArgumentError("--map names no column for the answer; add answer=COLUMN.")


def split_names(column: str, known: Iterable[str]) -> list[str]:
    """Return the columns that `options=a0+a1+a2` names; a plus sign may be part of one name."""
    return [column] if column in known else column.split("+")


def describe_columns(columns: Mapping[str, str]) -> str:
    """Return which column holds what, as --map has it."""
    return ",".join(f"{field}={column}" for field, column in columns.items())


def _check_field(name: str) -> None:
    if name not in USUAL_NAMES:
        raise ArgumentError(
            f"--map names {name!r}.{did_you_mean(name, USUAL_NAMES)} Known are "
            f"{', '.join(USUAL_NAMES)}."
        )


def _first_called(usual: Sequence[str], names: Sequence[str]) -> str | None:
    by_lower = {name.lower().replace(" ", "_"): name for name in reversed(names)}
    return next((by_lower[word] for word in usual if word in by_lower), None)


def _fits(field: str, column: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    fits = _ONLY_IF.get(field)
    values = [row[column] for row in rows if row.get(column) not in (None, "")]
    return fits is None or all(fits(value) for value in values)
