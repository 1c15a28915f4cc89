"""Which rows does a file or folder hold, whatever it is kept in?

    JSON list, JSONL, CSV, TSV, Parquet, text, saved data set  ->  (1, row), (2, row), ...
    one JSON object over all                                   ->  the object

What the rows mean is not asked here. To add a container: a generator of rows, and a line in
`_ROWS_OF_ENDING`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from flipbook.data.extras import split_named
from flipbook.data.formats.huggingface import (
    is_data_set_folder,
    rows_of_data_set,
    rows_of_parquet,
)
from flipbook.data.json_text import BadRow, StrictDecoder
from flipbook.data.media_folders import found_in
from flipbook.data.rows import read_rows
from flipbook.errors import ManifestError, did_you_mean

NumberedRow = tuple[int, Any]
JSON_ENDINGS = (".json", ".jsonl", ".ndjson")
_LISTS = ("metadata.csv", "metadata.jsonl")
_MOST_OBJECT_BYTES = 4 << 30
_LONGEST_LINE = 1 << 24  # characters of one row; an object over all may have more in one line


def rows_of(path: Path, *, extracted: Path | None = None) -> Iterator[NumberedRow]:
    """Yield numbers and rows of a file, or of a folder that holds a data set, from 1.

    Rows of CSV and TSV are dicts of texts, of which the first line has the names; lines of a text
    file are texts. A row that is no sound JSON, or has too few fields, is a `BadRow`.

    Args:
        extracted: the folder to which videos and pictures inside Parquet and saved data sets are
            written, so that rows hold their paths; None leaves them unread.

    Raises:
        ManifestError: the file is missing or cannot be read, or the folder holds no data set.
    """
    if path.is_dir():
        yield from _rows_of_folder(path, extracted)
        return
    check_file(path)
    ending = path.suffix.lower()
    if ending == ".parquet":
        yield from rows_of_parquet(path, extracted=extracted)
    else:
        yield from _ROWS_OF_ENDING.get(ending, read_rows)(path)


def check_file(path: Path) -> None:
    """Check that a path names a regular file, which alone may be opened.

    Raises:
        ManifestError: it does not.
    """
    if path.is_file():
        return
    if path.exists():
        raise ManifestError(f"{path}: is no regular file; write its content to one")
    siblings = [file.name for file in path.parent.glob("*") if not file.name.startswith(".")]
    raise ManifestError(
        f"{path}: does not exist; check the path.{did_you_mean(path.name, siblings)}"
    )


def is_json_object(path: Path) -> bool:
    """Return whether a file is one JSON object over all, and not one object a line.

    Raises:
        ManifestError: it cannot be read.
    """
    if path.suffix.lower() != ".json":
        return False
    check_file(path)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            filled = (
                line for line in iter(lambda: file.readline(_LONGEST_LINE), "") if line.strip()
            )
            first, second = next(filled, ""), next(filled, "")
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error}); check the path") from error
    if not first.lstrip().startswith("{"):
        return False
    return not second or isinstance(StrictDecoder().decode(first), BadRow)


def read_object(path: Path) -> dict[str, Any]:
    """Return the one object that a JSON file holds.

    Raises:
        ManifestError: it cannot be read, is too large to be read whole, or holds no object.
    """
    check_file(path)
    try:
        if path.stat().st_size > _MOST_OBJECT_BYTES:
            raise ManifestError(f"{path}: is one JSON object of over 4 GB; write it as JSONL")
        content = StrictDecoder().decode(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read ({error}); check the path") from error
    if isinstance(content, BadRow):
        raise ManifestError(f"{path}: {content.reason}")
    if not isinstance(content, dict):
        raise ManifestError(f"{path}: holds {type(content).__name__}; an object was expected")
    return content


def _rows_of_folder(path: Path, extracted: Path | None) -> Iterator[NumberedRow]:
    if is_data_set_folder(path):
        yield from rows_of_data_set(path, extracted=extracted)
        return
    lists = lists_of_clips(path)
    if not lists:
        raise ManifestError(
            f"{path}: is a folder without a data set; name a file, or a folder that was saved by "
            "`datasets` or holds Parquet files"
        )
    number = 0
    for listed in lists:
        for _, row in rows_of(found_in(listed, path), extracted=extracted):
            number += 1
            yield number, _placed(row, listed.parent.relative_to(path))


def lists_of_clips(path: Path) -> list[Path]:
    """Return the lists that lie beside the clips of a folder, or in the folders of its splits.

    They are called `metadata.csv` or `metadata.jsonl`, as the library `datasets` wants it.
    """
    folders = [path, *(item for item in sorted(path.iterdir()) if split_named(item.name))]
    lists = [folder / name for folder in folders for name in _LISTS if (folder / name).is_file()]
    return [listed for listed in lists if listed.parent == path] or lists


def _placed(row: Any, folder: Path) -> Any:
    """Return a row of a list in the folder of a split as one beside that folder would have it."""
    if not isinstance(row, dict) or folder == Path():
        return row
    name = row.get("file_name")
    named = {"file_name": f"{folder}/{name}"} if isinstance(name, str) else {}
    return {"split": split_named(folder.name)} | row | named


def _rows_of_table(path: Path, delimiter: str) -> Iterator[NumberedRow]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=_delimiter_of(path, delimiter), strict=True)
            names = [name.strip() for name in next(lines, [])]
            _check_names(path, names)
            filled = (fields for fields in lines if fields)
            for number, fields in enumerate(filled, start=1):
                if len(fields) == len(names):
                    yield number, dict(zip(names, fields, strict=True))
                else:
                    yield number, _uneven(len(fields), len(names))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            f"{path}: cannot be read as a table ({error}); save it as UTF-8, with the names of the "
            "columns in the first line"
        ) from error


def _uneven(num_fields: int, num_names: int) -> BadRow:
    return BadRow(f"has {num_fields} fields where the first line names {num_names}; mend it")


def _delimiter_of(path: Path, usual: str) -> str:
    """Return what stands between the columns; in many countries that is a semicolon."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first_line = file.readline(_LONGEST_LINE)
    return ";" if usual == "," and "," not in first_line and ";" in first_line else usual


def _check_names(path: Path, names: list[str]) -> None:
    if not names:
        raise ManifestError(f"{path}: is empty; its first line must name the columns")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ManifestError(f"{path}: two columns are called {twice!r}; rename one")


def _lines_of(path: Path) -> Iterator[NumberedRow]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read as text ({error}); check the path") from error


_ROWS_OF_ENDING: dict[str, Callable[[Path], Iterator[NumberedRow]]] = {
    ".csv": lambda path: _rows_of_table(path, ","),
    ".tsv": lambda path: _rows_of_table(path, "\t"),
    ".txt": _lines_of,
}
