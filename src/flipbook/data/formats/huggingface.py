"""Which rows does a Parquet file hold, or a folder of the library `datasets`?

    *.parquet, a folder by `save_to_disk`, a folder of shards  ->  (1, row), (2, row), ...

A video or picture inside becomes a file (see `embedded`), and a number of a class the name of that
class. Nothing is decoded, no code is run, and only files below the named folder are opened.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from flipbook.data.extras import split_named
from flipbook.data.formats.embedded import EmbeddedFiles, NoMediaError, without_bytes
from flipbook.data.json_text import BadRow
from flipbook.data.media_folders import found_in
from flipbook.errors import ManifestError

NumberedRow = tuple[int, Any]
_ROWS_PER_BATCH = 4  # each may hold a whole video
_LIGHT_ROWS_PER_BATCH = 1024
_STATE = "state.json"
_SPLITS = "dataset_dict.json"
_SPLIT_OF_NAME = re.compile(r"[A-Za-z]+")


class _Shard(NamedTuple):
    """A file of a data set, and the split that it belongs to."""

    path: Path
    split: str | None


def is_data_set_folder(path: Path) -> bool:
    """Return whether a folder was saved by `datasets`, or holds Parquet files."""
    return any((path / name).is_file() for name in (_STATE, _SPLITS)) or bool(_parquet(path))


def rows_of_data_set(path: Path, *, extracted: Path | None) -> Iterator[NumberedRow]:
    """Yield numbers and rows of a folder that holds a data set, all of its splits together.

    A row gets the split that its file stands for, where it does not name one itself.

    Raises:
        ManifestError: a file is missing or damaged, or there are several data sets.
    """
    number = 0
    for shard in _shards(path):
        read = rows_of_parquet if shard.path.suffix == ".parquet" else _rows_of_arrow
        for _, row in read(found_in(shard.path, path), extracted=extracted):
            number += 1
            if shard.split is not None and isinstance(row, dict):
                row.setdefault("split", shard.split)
            yield number, row


def rows_of_parquet(path: Path, *, extracted: Path | None) -> Iterator[NumberedRow]:
    """Yield numbers and rows of a Parquet file.

    Args:
        extracted: where videos and pictures in it go; None leaves them unread.

    Raises:
        ManifestError: it cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            light = [leaf.path for leaf in _leaves(file) if not _holds_bytes(leaf)]
            is_light = extracted is None or len(light) == len(file.schema)
            batches = file.iter_batches(
                batch_size=_LIGHT_ROWS_PER_BATCH if is_light else _ROWS_PER_BATCH,
                columns=light if extracted is None else None,
            )
            yield from _rows_of_batches(batches, file.schema_arrow, extracted)
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(
            f"{path}: cannot be read as Parquet ({error}); write it again"
        ) from error


def _rows_of_arrow(path: Path, *, extracted: Path | None) -> Iterator[NumberedRow]:
    try:
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_stream(file)
            yield from _rows_of_batches(_slices(reader, extracted), reader.schema, extracted)
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(
            f"{path}: cannot be read as a saved data set ({error}); save it again"
        ) from error


def _slices(batches: Iterator[pa.RecordBatch], extracted: Path | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        light = without_bytes(batch) if extracted is None else batch
        size = _LIGHT_ROWS_PER_BATCH if extracted is None else _ROWS_PER_BATCH
        for start in range(0, batch.num_rows, size):
            yield light.slice(start, size)


def _rows_of_batches(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, extracted: Path | None
) -> Iterator[NumberedRow]:
    classes = class_names(schema)
    files = EmbeddedFiles(extracted)
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield number, _as_json(row, schema.names, files=files, classes=classes)


def _as_json(
    row: Mapping[str, Any],
    names: list[str],
    *,
    files: EmbeddedFiles,
    classes: Mapping[str, list[str]],
) -> dict[str, Any] | BadRow:
    """Return a row of Arrow as JSON would have it."""
    found: dict[str, Any] = {}
    for name in names:
        try:
            value = files.without_bytes(row[name], name) if name in row else files.unread
        except NoMediaError as error:
            return BadRow(str(error))
        if isinstance(value, float) and math.isnan(value):
            value = None
        if name in classes and isinstance(value, int):
            value = classes[name][value] if 0 <= value < len(classes[name]) else None
        found[name] = value
    return found


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names of the classes of each column that holds their numbers."""
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = about["info"]["features"]
        return {
            name: [str(word) for word in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # it says nothing of classes


def _leaves(file: pq.ParquetFile) -> Iterator[Any]:
    return (file.schema.column(place) for place in range(len(file.schema)))


def _holds_bytes(leaf: Any) -> bool:
    return (leaf.physical_type, leaf.logical_type.type) == ("BYTE_ARRAY", "NONE")


def _shards(path: Path) -> list[_Shard]:
    """Return the files of a data set in order."""
    if (path / _SPLITS).is_file():
        names = _names_in(path / _SPLITS, "splits")
        return [
            _Shard(file.path, split_named(name)) for name in names for file in _saved(path / name)
        ]
    if (path / _STATE).is_file():
        return _saved(path)
    files = _parquet(path)
    folders = {file.parent for file in files}
    sets = sorted(folder.name for folder in folders if not split_named(folder.name))
    if len(sets) > 1:
        raise ManifestError(
            f"{path}: holds several data sets: {', '.join(sets)}; name one of these folders"
        )
    return [_Shard(file, _split_of(file)) for file in files]


def _saved(folder: Path) -> list[_Shard]:
    return [_Shard(folder / name, None) for name in _names_in(folder / _STATE, "_data_files")]


def _names_in(path: Path, key: str) -> list[str]:
    """Return the names of files or folders that a file of `datasets` lists.

    Raises:
        ManifestError: it lists none, or one that is no plain name.
    """
    try:
        listed = json.loads(found_in(path, path.parent).read_text(encoding="utf-8"))[key]
        names = [item["filename"] if isinstance(item, dict) else item for item in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(
            f"{path}: cannot be read ({error!r}); save the data set again"
        ) from error
    for name in names:
        if not isinstance(name, str) or name != Path(name).name or name in ("", ".."):
            raise ManifestError(f"{path}: lists {name!r}, which is no name of a file in its folder")
    return names


def _parquet(path: Path) -> list[Path]:
    return sorted(path.glob("*.parquet")) or sorted(path.glob("*/*.parquet"))


def _split_of(file: Path) -> str | None:
    """Return the split of `train-00000-of-00002.parquet` or `train/0.parquet`."""
    start = _SPLIT_OF_NAME.match(file.stem)
    return (split_named(start[0]) if start else None) or split_named(file.parent.name)
