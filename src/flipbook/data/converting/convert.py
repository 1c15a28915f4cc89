"""How does a file or folder of any format become rows of our own?

    Origin -> OUT.jsonl            a row for each record
              OUT.rejected.jsonl   id and reason of each row that is none
              OUT_media/           videos and pictures that lay inside the file

Rows are read, checked and written one at a time, so of a million of them only the hashes of their
names are in memory. OUT is whole or not there at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from flipbook.data.converting.converted import Converted
from flipbook.data.converting.out_paths import OutPaths
from flipbook.data.converting.sample_text import sample_text
from flipbook.data.converting.written_rows import Rejections, RowWriter, TakenNames
from flipbook.data.formats.asked import OwnRow
from flipbook.data.formats.origin import Origin
from flipbook.data.formats.table import FORMATS, Format, detect_format, format_named
from flipbook.data.manifests import refuse_bad_records
from flipbook.data.media_folders import MediaFolders
from flipbook.data.own import row_of
from flipbook.data.records import NamedRow, Record, id_of, record_of
from flipbook.data.turns import Media, Turn
from flipbook.errors import ArgumentError, DataError, ManifestError, RecordError

NUM_SAMPLES = 2
_OUT_ENDINGS = (".jsonl", ".ndjson")


def convert(
    origin: Origin,
    *,
    format_name: str | None,
    out: Path,
    max_bad_fraction: float = 0.0,
    absolute_paths: bool = False,
) -> Converted:
    """Return what was detected and written, after writing it.

    Args:
        format_name: one of `FORMATS`; None is told by the file's keys.
        out: the JSONL file to write; one that is there is replaced in the end.
        max_bad_fraction: the share of rows that may be no records.
        absolute_paths: write absolute paths also where relative ones can be read again.

    Raises:
        StorageError: `out` cannot be written.
        ArgumentError: `out` is no JSONL file; the format is unknown, or does
            not follow what was said about the origin.
        ManifestError: the file cannot be read, or no format recognises it.
        DataError: too many rows, or all, are no records; `out` is as it was, and the reasons are
            beside it.
    """
    _check_out(out, origin)
    name = format_name if format_name is not None else detect_format(origin)
    form = format_named(name)
    _check_use(origin, name, form)
    origin = replace(origin, extracted=out.absolute().with_name(f"{out.stem}_media"))
    found = _convert(origin, name, out=out, limit=max_bad_fraction, absolute=absolute_paths)
    if found is None:  # media lie here and there
        found = _convert(origin, name, out=out, limit=max_bad_fraction, absolute=True)
    assert found is not None, "absolute paths are never torn"
    return found


def _convert(
    origin: Origin, name: str, *, out: Path, limit: float, absolute: bool
) -> Converted | None:
    """Return what was written; None where media lie here and there, and paths are not absolute."""
    form = FORMATS[name]
    notes = form.notes(origin)
    folders = _folders_of(origin)
    paths = OutPaths(out, folders, absolute=absolute)
    rejected_path = out.with_name(f"{out.stem}.rejected.jsonl")
    samples: list[str] = []
    with RowWriter(out) as writer, RowWriter(rejected_path) as rejected_writer:
        rejected = Rejections(rejected_writer)
        for found in _records(form, origin, folders):
            if isinstance(found, RecordError):
                rejected.add(found)
                continue
            paths.add(found.media)
            if paths.is_torn:
                return None
            try:
                writer.write(row_of(found, folder=paths.folder))
            except RecordError as error:
                rejected.add(error)
                continue
            if len(samples) < NUM_SAMPLES:
                samples.append(sample_text(found, folder=paths.folder))
        _keep(writer, rejected_writer, rejected, origin=origin, limit=limit)
    return Converted(
        format_name=name,
        num_records=writer.num_rows,
        rejected=rejected,
        path=out,
        samples=tuple(samples),
        image_folder=paths.image_folder,
        rejected_path=rejected_path if rejected else None,
        notes=notes,
    )


def _keep(
    writer: RowWriter,
    rejected_writer: RowWriter,
    rejected: Rejections,
    *,
    origin: Origin,
    limit: float,
) -> None:
    """Give the files their names, the rows only if there are enough of them."""
    num_rows = writer.num_rows + len(rejected)
    if num_rows == 0:
        raise ManifestError(f"{origin.path}: holds no records; is it the right file?")
    if rejected:
        rejected_writer.keep()
    else:
        rejected_writer.path.unlink(missing_ok=True)
    try:
        refuse_bad_records(
            rejected, num_records=num_rows, max_bad_fraction=limit, paths=str(origin.path)
        )
    except DataError as error:
        raise DataError(f"{error}\nAll reasons are in {rejected_writer.path}.") from error
    writer.keep()


def _records(form: Format, origin: Origin, folders: MediaFolders) -> Iterator[Record | RecordError]:
    """Yield the records of a file, each with a name of its own, and why other rows are none."""
    names = TakenNames()
    for number, row in enumerate(form.read(origin), start=1):
        if isinstance(row, RecordError):
            yield row
            continue
        try:
            yield _record(row, f"{origin.path.name}:{number}", names, folders, origin)
        except RecordError as error:
            yield error


def _record(
    row: OwnRow, place: str, names: TakenNames, folders: MediaFolders, origin: Origin
) -> Record:
    record_id = names.name(id_of(row, place))
    record = record_of(NamedRow(record_id, row), folders=folders)
    if origin.frames_fps is None or not record.media:
        return record
    rate = origin.frames_fps
    conversations = tuple(
        tuple(_with_rate(turn, rate) for turn in turns) for turns in record.conversations
    )
    return replace(record, conversations=conversations)


def _with_rate(turn: Turn, frames_fps: float) -> Turn:
    """Return a turn whose clips of pictures have a rate, where they say none."""
    parts = tuple(
        replace(part, view=replace(part.view, frames_fps=frames_fps))
        if isinstance(part, Media) and part.view.frames_fps is None and _is_pictures(part)
        else part
        for part in turn.parts
    )
    return Turn(turn.role, parts)


def _is_pictures(media: Media) -> bool:
    return bool(media.frames) or os.path.isdir(media.path)


def _folders_of(origin: Origin) -> MediaFolders:
    """Return where media may lie: by the origin, or where those inside of it are written to."""
    manifest = origin.path / "any" if origin.path.is_dir() else origin.path
    return MediaFolders(manifest, origin.image_folder, extracted=origin.extracted)


def _check_out(out: Path, origin: Origin) -> None:
    if out.suffix.lower() not in _OUT_ENDINGS:
        raise ArgumentError(f"--out {out} must end in .jsonl; name such a file.")
    if out.is_dir():
        raise ArgumentError(f"--out {out} is a folder; name a file in it.")
    if out.exists() and out.samefile(origin.path):
        raise ArgumentError(f"--out {out} is the file that is read; name another.")


def _check_use(origin: Origin, name: str, form: Format) -> None:
    """Refuse what was said about an origin and its format does not follow."""
    said = {
        "columns": ("--map", bool(origin.columns)),
        "prompt": ("--prompt", origin.prompt is not None),
        "answers": ("--answers", origin.answers is not None),
        "part": (f"#{origin.part}", origin.part is not None),
    }
    for what, (flag, is_said) in said.items():
        if is_said and what not in form.uses:
            able = [other for other, its in FORMATS.items() if what in its.uses]
            raise ArgumentError(
                f"{flag} is not followed by the format {name} ({form.about}); leave it out, or "
                f"name another --format: {', '.join(able)}."
            )
