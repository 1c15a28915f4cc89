"""Where is what was found out about a manifest kept, and is it still what was written?

    key, measured batches  ->  KEY.arrow, KEY.json with its hash  ->  the same, memory-mapped

A file is whole or not there: it is written under another name first, and its hash comes last. Of
several processes one writes and the others wait. Where the folder cannot be written to, the file
goes to a temporary folder and lives as long as this process.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from typing import TypeVar

import datasets
import pyarrow as pa
from datasets.arrow_writer import ArrowWriter
from filelock import FileLock
from xxhash import xxh3_128

from flipbook.errors import DataError, StorageError

TableT = TypeVar("TableT")
MeasureAll = Callable[[], Iterator[pa.RecordBatch]]
OpenCurrent = Callable[[datasets.Dataset], TableT | None]

_ROWS_PER_BATCH = 10_000
_logger = logging.getLogger("flipbook")


def default_folder() -> Path:
    """Return where tables are kept: beside those of `datasets`."""
    return Path(datasets.config.HF_DATASETS_CACHE) / "flipbook"


def find_or_write(
    folder: Path,
    key: str,
    *,
    schema: pa.Schema,
    measure: MeasureAll,
    open_current: OpenCurrent[TableT],
) -> tuple[TableT, Path | None]:
    """Return the table of a key, and the folder to remove afterwards where it is a temporary one.

    Args:
        folder: where tables are kept.
        key: a word that is different whenever the content might be.
        measure: gives the content where it is missing, damaged or no longer current.
        open_current: makes the table of what was found; None where that does not hold any more.

    Raises:
        DataError: there is no room for it, neither in `folder` nor for temporary files, or it does
            not hold at once.
    """
    path = folder / f"{key}.arrow"
    table = _open(path, open_current)
    if table is not None:
        return table, None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            table = _open(path, open_current)  # another process may have written it meanwhile
            if table is None:
                table = _write(path, schema, measure, open_current)
            return table, None
    except (OSError, NotImplementedError) as error:  # the latter where files cannot be locked
        _logger.warning(
            "%s cannot be written to (%s), so conversations are measured again in each run; "
            "set HF_DATASETS_CACHE to another folder",
            folder,
            str(error),  # the error itself would keep the table alive wherever it is logged to
        )
    temporary = Path(tempfile.mkdtemp(prefix="flipbook-"))
    try:
        return _write(temporary / path.name, schema, measure, open_current), temporary
    except OSError as error:
        rmtree(temporary, ignore_errors=True)
        raise StorageError(
            f"the table of conversations can be written neither to {folder} nor to "
            f"{temporary.parent} ({error}); make room, or set HF_DATASETS_CACHE and TMPDIR to "
            "other folders"
        ) from error


def _open(path: Path, open_current: OpenCurrent[TableT]) -> TableT | None:
    """Return a table if its file is whole and it holds."""
    try:
        facts = json.loads(_facts_path(path).read_text(encoding="utf-8"))
        if facts != _facts(path):
            return None
        rows = datasets.Dataset.from_file(str(path))
    except (OSError, ValueError):  # pyarrow's error of damaged files is a ValueError
        return None
    return open_current(rows)


def _write(
    path: Path, schema: pa.Schema, measure: MeasureAll, open_current: OpenCurrent[TableT]
) -> TableT:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    _facts_path(path).unlink(missing_ok=True)
    for left in path.parent.glob(f"{path.name}.*.partial"):  # by a process that was killed
        left.unlink(missing_ok=True)
    try:
        with ArrowWriter(
            path=str(partial), schema=schema, writer_batch_size=_ROWS_PER_BATCH
        ) as writer:
            for rows in _large_tables(measure(), schema):
                writer.write_table(rows)
            writer.finalize()
        partial.replace(path)
        partial.write_text(json.dumps(_facts(path)), encoding="utf-8")
        partial.replace(_facts_path(path))
    finally:
        partial.unlink(missing_ok=True)
    table = open_current(datasets.Dataset.from_file(str(path)))
    if table is None:
        raise DataError(
            "videos have changed while they were looked at; start again when nothing writes to them"
        )
    return table


def _large_tables(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of batches, many at a time: each batch of a file costs memory of its own."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= _ROWS_PER_BATCH:
            yield pa.Table.from_batches(waiting, schema)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


def _facts_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _facts(path: Path) -> dict[str, int | str]:
    """Return what tells a file from one that was cut or changed."""
    return {"num_bytes": path.stat().st_size, "xxh3_128": _hash(path)}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, xxh3_128).hexdigest()
