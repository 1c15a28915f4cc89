"""Whose files are in RUN/prepared, and what were they made of?

    RUN/prepared, data sets that were named  ->  an empty folder that is flipbook's, or a refusal
    data sets that were named                ->  a hash of each, by which a change is noticed

Nothing is ever removed there that somebody else may have put there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shutil import rmtree

from xxhash import xxh3_128

from flipbook.data.formats.origin import origin_named
from flipbook.data.sources import Source
from flipbook.errors import ArgumentError, DataError
from flipbook.video.decode import VIDEO_EXTENSIONS
from flipbook.video.frames import IMAGE_EXTENSIONS

PREPARED_IN_RUN = "prepared"
MARK_FILE = "made_by_flipbook.txt"
_MARK = (
    "flipbook makes the files of this folder from the data that a run is given, and removes them "
    "where it makes them anew. Keep nothing of your own here.\n"
)
LARGE_BYTES = 1 << 30
_END_BYTES = 1 << 20
_READ = frozenset({".arrow", ".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv", ".txt"})
_COUNTED = _READ | VIDEO_EXTENSIONS | IMAGE_EXTENSIONS


def clear_prepared(folder: Path, named: Sequence[Source], *, made: Iterable[str]) -> None:
    """Make `RUN/prepared`, without what flipbook made there before.

    Args:
        named: the data sets of which new files will be made.
        made: names in the folder that are made anew.

    Raises:
        ArgumentError: files are there that flipbook did not make, or data of the run lie there.
    """
    place = folder.resolve()
    for source in named:
        for path in filter(None, (str(origin_named(source.path).path), source.image_folder)):
            if Path(path).resolve().is_relative_to(place):
                raise ArgumentError(
                    f"{path} lies in {folder}, where the data of this run would be prepared and "
                    "what is there removed. Nothing was changed. Copy the data to another place, "
                    "or give another --output_dir."
                )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK_FILE).is_file():
        raise ArgumentError(
            f"{folder} holds files that flipbook did not make, and the data of this run would be "
            "prepared there. Nothing was changed. Move them, or give another --output_dir."
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK_FILE).write_text(_MARK, encoding="utf-8")
    for name in made:
        if (folder / name).is_dir():
            rmtree(folder / name, ignore_errors=True)
        else:
            (folder / name).unlink(missing_ok=True)


def hashes_of(named: Sequence[Source], *, run_folder: Path) -> dict[str, str]:
    """Return a hash of what each data set is, by its absolute path.

    Of a folder all records and media count, by their names, but for those of the run itself. Media
    and what a link from outside shows are known by their size, records are read, where there is
    more than 1 GiB in a file its first and last MiB.

    Raises:
        DataError: a file cannot be read.
    """
    run = run_folder.resolve()
    return {os.path.abspath(one.path): _hash_of(origin_named(one.path).path, run) for one in named}


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the data sets that `hashes_of` returned another hash for, of those in both."""
    return [path for path, known in before.items() if now.get(path, known) != known]


def _hash_of(path: Path, run: Path) -> str:
    hashed = xxh3_128()
    place = path.resolve()
    try:
        for file in _files_of(path, run):
            size = file.stat().st_size
            hashed.update(f"{file.relative_to(path)} {size}\n".encode("utf-8", "surrogatepass"))
            is_read = file == path or file.suffix.lower() in _READ
            if is_read and file.resolve().is_relative_to(place):
                _read_into(hashed, file, size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return hashed.hexdigest()


def _files_of(path: Path, run: Path) -> Iterator[Path]:
    """Yield a file, or those of a folder that count in the order of their names."""
    if not path.is_dir():
        if path.is_file():
            yield path
        return
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(name for name in subfolders if Path(folder, name).resolve() != run)
        found = (Path(folder, name) for name in sorted(names))
        yield from (file for file in found if file.suffix.lower() in _COUNTED and file.is_file())


def _read_into(hashed: xxh3_128, path: Path, size: int) -> None:
    """Let a hash read a file, of a large one both ends."""
    with path.open("rb") as file:
        if size > LARGE_BYTES:
            hashed.update(file.read(_END_BYTES))
            file.seek(-_END_BYTES, os.SEEK_END)
        while block := file.read(_END_BYTES):
            hashed.update(block)
