"""What did the user name, and what did they say about it?

a file or folder of any format  ->  Origin: path, folder of the media, columns, prompt
                                ->  Head: its first rows, by which the format is told
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from flipbook.data.formats.containers import (
    JSON_ENDINGS,
    NumberedRow,
    is_json_object,
    lists_of_clips,
    read_object,
    rows_of,
)
from flipbook.data.formats.huggingface import is_data_set_folder

__all__ = [
    "JSON_ENDINGS",
    "Head",
    "NumberedRow",
    "Origin",
    "is_json_object",
    "read_head",
    "read_object",
    "rows_of",
]

NUM_HEAD_ROWS = 50
NEARLY_ALL = 0.8  # of the rows
Row = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """A file or folder, and what is needed to read it that it does not say itself.

    Attributes:
        path: of the file or folder.
        image_folder: where media lie; None is the folder of the file, or the folder itself.
        columns: `--map`: which column holds the video, the question, ...: {"video": "path"}.
        prompt: the question that is asked of every clip where the format has none.
        frames_fps: how many pictures are a second, where clips are folders of pictures.
        answers: a second file, where questions and answers lie apart.
        part: which of several data sets that a file describes.
        extracted: the folder for videos and pictures that lie inside the file.
    """

    path: Path
    image_folder: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    prompt: str | None = None
    frames_fps: float | None = None
    answers: Path | None = None
    part: str | None = None
    extracted: Path | None = None

    @property
    def media_folder(self) -> Path:
        """Where relative paths of media begin."""
        if self.image_folder is not None:
            return self.image_folder
        return self.path if self.path.is_dir() else self.path.parent

    @cached_property
    def head(self) -> Head:
        """What the file begins with."""
        return read_head(self.path)

    def rows(self) -> Iterator[NumberedRow]:
        """Yield numbers and rows; of videos and pictures inside the file, rows have the paths.

        Raises:
            ManifestError: it cannot be read.
        """
        return rows_of(self.path, extracted=self.extracted)


@dataclass(frozen=True)
class Head:
    """The first rows of a file.

    Attributes:
        path: of the file or folder.
        rows: the first of them that are objects; the whole content where the file is one object;
            of a folder those of the data set in it, if any.
        is_object: whether the file is one JSON object, as formats keyed by video are.
    """

    path: Path
    rows: tuple[Row, ...]
    is_object: bool = False

    @property
    def keys(self) -> frozenset[str]:
        """The keys that nearly all of the rows have; a few broken ones hide no format."""
        counts = Counter(key for row in self.rows for key in row)
        least = NEARLY_ALL * len(self.rows)
        return frozenset(key for key, count in counts.items() if count >= least)

    @property
    def any_keys(self) -> frozenset[str]:
        """The keys that any of the rows has."""
        return frozenset(key for row in self.rows for key in row)


def origin_named(name: str, **said: Any) -> Origin:
    """Return the origin that a user names; `dataset_info.json#NAME` is one part of several.

    Args:
        said: further attributes of `Origin`.
    """
    path, mark, part = name.rpartition("#")
    if mark and not Path(name).exists() and Path(path).exists():
        return Origin(Path(path), part=part, **said)
    return Origin(Path(name), **said)


def read_head(path: Path) -> Head:
    """Return what a file begins with; of a folder without a data set nothing but its path.

    Raises:
        ManifestError: the file cannot be read.
    """
    if path.is_dir() and not is_data_set_folder(path) and not lists_of_clips(path):
        return Head(path, ())
    if is_json_object(path):
        content = read_object(path)
        return Head(path, (content,), is_object=True)
    first = itertools.islice(rows_of(path), NUM_HEAD_ROWS)
    return Head(path, tuple(row for _, row in first if isinstance(row, dict)))
