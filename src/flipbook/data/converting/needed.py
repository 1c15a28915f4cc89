"""Must a data set be converted before it is read, and what is it then?

    Sources -> Sources of records; those that are none yet are written into a folder
            -> what was detected, in words

JSON and JSONL of the two native formats are read where they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from flipbook.data.converting.convert import NUM_SAMPLES, convert
from flipbook.data.converting.converted import Converted
from flipbook.data.converting.sample_text import sample_text
from flipbook.data.formats.origin import JSON_ENDINGS, Origin, origin_named
from flipbook.data.formats.table import FORMATS, NATIVE, detect_format
from flipbook.data.media_folders import MediaFolders
from flipbook.data.records import NamedRow, id_of, record_of
from flipbook.data.sources import Source
from flipbook.errors import RecordError


def as_records(
    sources: Iterable[Source],
    *,
    folder: Path,
    max_bad_fraction: float,
    tell: Callable[[str], object],
) -> Iterator[Source]:
    """Yield data sets of records; those that are none yet are converted into a folder.

    Args:
        tell: is given what was converted, in words.

    Raises:
        ArgumentError, DataError: see `convert_if_needed`.
    """
    for number, source in enumerate(sources):
        converted = convert_if_needed(
            source, out_folder=folder / str(number), max_bad_fraction=max_bad_fraction
        )
        if converted is not None:
            tell(converted.told())
        yield source if converted is None else converted.as_source(source)


def convert_if_needed(
    source: str | Source, *, out_folder: Path, max_bad_fraction: float = 0.0
) -> Converted | None:
    """Return what was written of a file or folder; None where its rows can be read as they are.

    Paths are written absolute, so the file can be read with the `image_folder` of the result and
    wherever it is moved to.

    Args:
        out_folder: where the written file goes, under the name of what was named.

    Raises:
        ArgumentError, ManifestError, DataError: see `convert`.
    """
    source = Source(source) if isinstance(source, str) else source
    name = format_to_convert(source)
    if name is None:
        return None
    origin = _origin_of(source)
    stem = f"{origin.path.stem}-{origin.part}" if origin.part else origin.path.stem
    return convert(
        origin,
        format_name=name,
        out=out_folder / f"{stem}.jsonl",
        max_bad_fraction=max_bad_fraction,
        absolute_paths=True,
    )


def format_to_convert(source: Source) -> str | None:
    """Return the format from which a source must be converted; None where it can be read as it is.

    Raises:
        ArgumentError, ManifestError: see `convert`.
    """
    origin = _origin_of(source)
    name = source.format_name
    if name is None and _is_unreadable_json(origin.path):
        return None  # whoever reads it says what is wrong
    name = name if name is not None else detect_format(origin)
    is_json = origin.path.suffix.lower() in JSON_ENDINGS and origin.path.is_file()
    return None if is_json and name in NATIVE and origin.prompt is None else name


def told_of(source: Source) -> str:
    """Return what was detected of a source that can be read as it is, with two of its records."""
    origin = _origin_of(source)
    if _is_unreadable_json(origin.path):
        return ""
    name = source.format_name or detect_format(origin)
    folders = MediaFolders(source.path, source.image_folder, looks_up=False)
    samples = []
    for number, row in enumerate(origin.head.rows, start=1):
        with contextlib.suppress(RecordError):  # it is told of when all are read
            named = NamedRow(id_of(row, f"{origin.path.name}:{number}"), row)
            record = record_of(named, folders=folders, view=source.view)
            samples.append(sample_text(record, folder=folders.start))
        if len(samples) == NUM_SAMPLES:
            break
    about = FORMATS[name].about
    return "\n\n".join([f"{source.path}: {name} ({about})", *samples, ""])


def _origin_of(source: Source) -> Origin:
    return origin_named(
        source.path,
        image_folder=None if source.image_folder is None else Path(source.image_folder),
        columns=dict(source.columns),
        prompt=source.prompt,
        frames_fps=source.view.frames_fps,
    )


def _is_unreadable_json(path: Path) -> bool:
    """Return whether a path names no JSON file with content, though it looks like it."""
    looks = path.suffix.lower() in JSON_ENDINGS and not path.is_dir()
    return looks and not (path.is_file() and path.stat().st_size)
