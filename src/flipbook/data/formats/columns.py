"""How do the rows of a table become questions about clips?

    CSV, TSV, JSONL, Parquet:  path    q             a
                               a.mp4   What moves?   A ball.

    -> rows of our own; which column holds what, `column_names` tells

Without a question, a table of labels asks which class a clip shows, and any other for a description
or for what `--prompt` says. With options, it is multiple choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from flipbook.data.formats import cells
from flipbook.data.formats.asked import Rows, is_blank
from flipbook.data.formats.column_names import (
    LABEL_NAMES,
    Columns,
    check_columns,
    describe_columns,
    guess_columns,
    is_enough,
    split_names,
)
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.origin import Head, Origin, rows_of
from flipbook.data.formats.prompts import CAPTION_PROMPT, choice_question, class_question, letter_of
from flipbook.data.formats.turns_of import own_rows
from flipbook.errors import ArgumentError, ManifestError, RecordError

_MOST_CLASSES = 1000  # more different labels are texts of their own
_EXTRAS = ("task", "group", "split")


@dataclass(frozen=True)
class _Reading:
    """What is known of a table before its rows are read."""

    columns: Columns
    media: MediaNames
    prompt: str
    kind: str
    classes: tuple[str, ...]


def is_columns(head: Head) -> bool:
    """Return whether columns are obviously named: one for a video or image, one for the answer."""
    if head.is_object:
        return False
    return is_enough(guess_columns(head.rows))


def read_columns(origin: Origin) -> Rows:
    """Yield a row for each row of a table.

    Raises:
        ManifestError: it cannot be read, or misses a column that the user names.
        ArgumentError: no column for the video, or none for the answer, is named; `prompt` is given
            and there is a question.
    """
    reading = _reading(origin)
    return own_rows(origin, partial(_row, reading=reading))


def columns_of(origin: Origin) -> Columns:
    """Return which column holds what: as the user says, or guessed.

    Raises:
        ManifestError, ArgumentError: see `read_columns`.
    """
    names = dict.fromkeys(name for row in origin.head.rows for name in row)
    if origin.columns:
        check_columns(origin.columns, names, path=origin.path)
        return dict(origin.columns)
    found = guess_columns(origin.head.rows)
    if not is_enough(found):
        raise ManifestError(
            f"{origin.path}: no columns are obviously those of the video and the answer; name them "
            f"with --map video=COLUMN,answer=COLUMN. There are: {', '.join(names) or '(none)'}."
        )
    return found


def notes_of_columns(origin: Origin) -> tuple[str, ...]:
    """Return what the user should know of how a table is read."""
    how = "as told" if origin.columns else "guessed; say it with --map"
    return (f"columns ({how}): {describe_columns(columns_of(origin))}",)


def _reading(origin: Origin) -> _Reading:
    columns = columns_of(origin)
    if "question" in columns and origin.prompt is not None:
        raise ArgumentError(
            f"--prompt is given, and column {columns['question']!r} holds questions; leave one "
            "out, with --map where the column holds something else."
        )
    classes: tuple[str, ...] = ()
    kind, prompt = "open", origin.prompt or CAPTION_PROMPT
    if "options" in columns:
        kind = "multiple_choice"
    elif "question" not in columns:
        classes = _classes(origin, columns["answer"])
        kind = "classification" if classes else "caption"
        prompt = origin.prompt or (class_question(classes) if classes else CAPTION_PROMPT)
    return _Reading(columns, MediaNames(origin.media_folder), prompt, kind, classes)


def _classes(origin: Origin, column: str) -> tuple[str, ...]:
    """Return the different labels of a column that is called so; none of any other."""
    if column.lower() not in LABEL_NAMES:
        return ()
    found: set[str] = set()
    for _, row in rows_of(origin.path):
        label = row.get(column) if isinstance(row, dict) else None
        if isinstance(label, (str, int)) and not is_blank(label):
            found.add(str(label).strip())
        if len(found) > _MOST_CLASSES:
            return ()
    return tuple(sorted(found)) if len(found) > 1 else ()


def _row(row: Mapping[str, Any], record_id: str, *, reading: _Reading) -> Iterator[dict[str, Any]]:
    columns = reading.columns
    cell = {field: row.get(column) for field, column in columns.items() if field != "options"}
    own_id = record_id if is_blank(cell.get("id")) else cells.word(cell["id"], "id", record_id)
    asked = cell.get("question")
    if "question" in columns and is_blank(asked):
        raise RecordError(own_id, f"column {columns['question']!r} is empty; write the question")
    question = cells.text(asked, columns["question"], own_id) if asked else reading.prompt
    given = _answer(row, cell, question, own_id, reading)
    said = [{"role": "user", "content": given.pop("asked")}]
    said.append({"role": "assistant", "content": given.pop("said")})
    if not is_blank(cell.get("system")):
        said.insert(0, {"role": "system", "content": cell["system"]})
    extras = {name: cell[name] for name in _EXTRAS if not is_blank(cell.get(name))}
    if not is_blank(cell.get("clip")):
        extras["clip"] = cells.settings(cell["clip"], own_id)
    media = cells.media_of(cell, columns, reading.media, own_id)
    yield {"id": own_id, **media, "messages": said, **extras, **given}


def _answer(
    row: Mapping[str, Any],
    cell: Mapping[str, Any],
    question: str,
    record_id: str,
    reading: _Reading,
) -> dict[str, Any]:
    """Return what is asked and said, and what evaluation needs of it."""
    answers = cells.texts(cell["answer"], reading.columns["answer"], record_id)
    references = cells.texts(cell.get("references"), "references", record_id, may_lack=True)
    kind = reading.kind if is_blank(cell.get("kind")) else cell["kind"]
    found: dict[str, Any] = {"kind": kind, "asked": question, "said": answers[0]}
    if "options" in reading.columns:
        names = split_names(reading.columns["options"], row)
        options = cells.options([row.get(name) for name in names], record_id)
        place = cells.place_of(answers[0], options, record_id)
        found |= {"options": options, "answer": options[place], "said": letter_of(place)}
        found["asked"] = choice_question(question, options)
    elif reading.classes:
        found |= {"options": list(reading.classes), "answer": answers[0]}
    if len(answers) > 1 or references:
        found["references"] = list(dict.fromkeys([*answers, *references]))
    return found
