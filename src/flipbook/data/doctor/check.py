"""Can this data set be trained on, and which of its records cannot?

    manifests, ClipSettings, ConversationEncoder -> Checked: clean manifests, quarantine, summary

One pass: all rows are read, each different video and image is decoded at the instants that the run
would show, tokens are counted, and what the splits share is looked for. It can be stopped and goes
on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flipbook.data.doctor.checked import Checked, summarise
from flipbook.data.doctor.examine import Examined, examine
from flipbook.data.doctor.inspection import Inspection, inspect
from flipbook.data.doctor.journal import Journal
from flipbook.data.doctor.ledger import OWN_SPLIT, Manifest, RowReader, Unjudged
from flipbook.data.doctor.report import print_checked
from flipbook.data.doctor.writing import (
    NOTES_FILE,
    QUARANTINE_FILE,
    SUMMARY_FILE,
    clean_sources,
    note_as_dict,
    quarantined_of,
    write_clean,
    write_json,
    write_lines,
)
from flipbook.data.encoder import ConversationEncoder
from flipbook.data.extras import SPLITS
from flipbook.data.rows import content_hash
from flipbook.data.sources import Source
from flipbook.data.tables.opening import num_cores
from flipbook.data.written import make_folder
from flipbook.errors import ArgumentError, ManifestError
from flipbook.video.settings import ClipSettings

JOURNAL_FILE = "journal.jsonl"
CONTENTS_FOLDER = "contents"
FILE_TIMEOUT_S = 60.0


def check_manifests(
    sources: Mapping[str, Sequence[Source]],
    *,
    settings: ClipSettings,
    encoder: ConversationEncoder | None,
    out: Path,
    is_beside: bool = False,
    num_workers: int | None = None,
    file_timeout_s: float = FILE_TIMEOUT_S,
    console: Console | None = None,
    work: Callable[..., Examined] = examine,
    unjudged: Unjudged | None = None,
) -> Checked:
    """Return what was found in some data sets, after writing clean manifests and the lists.

    Args:
        sources: manifests under the split that they are used as, one of `SPLITS`; or under
            `OWN_SPLIT` where their records say so themselves.
        settings: how the run would read clips.
        encoder: counts tokens and proves labels; none leaves that out.
        out: the folder of the lists, made if need be. What it holds of an earlier pass is used.
        is_beside: whether clean manifests lie beside the old ones, and not in `out`; see
            `clean_sources`.
        num_workers: processes that decode; as many as there are cores if not given.
        file_timeout_s: how long reading one file may take, and longer for large files.
        console: where progress and a summary are printed; none prints nothing.
        work: reads one video or image, as `examine` does.
        unjudged: see `RowReader`; none leaves that out.

    Raises:
        ManifestError: a manifest cannot be read, or changes while it is.
        ArgumentError: an image folder is no folder, a manifest is given twice, a number is wrong.
        StorageError: the lists cannot be written.
        WorkerError: no processes can be kept.
    """
    num_workers = num_cores() if num_workers is None else num_workers
    _check_numbers(num_workers, file_timeout_s)
    manifests = _manifests(sources)
    console = Console(quiet=True) if console is None else console
    reader = RowReader(manifests, unjudged)
    before = [content_hash(manifest.path) for manifest in manifests]
    make_folder(out)
    with _progress(console) as progress:
        found = inspect(
            reader,
            Journal(out / JOURNAL_FILE, settings=settings, timeout_s=file_timeout_s),
            progress,
            settings=settings,
            encoder=encoder,
            work=partial(work, settings=settings, contents_folder=out / CONTENTS_FOLDER),
            num_workers=num_workers,
            file_timeout_s=file_timeout_s,
        )
    _check_unchanged(manifests, before)
    checked = _write(
        found, out=out, is_beside=is_beside, settings=settings, counts_tokens=encoder is not None
    )
    starts = dict.fromkeys(str(folders.start) for folders in reader.folders)
    print_checked(checked, console=console, folders=[*starts])
    return checked


def _manifests(sources: Mapping[str, Sequence[Source]]) -> tuple[Manifest, ...]:
    """Return the data sets of all splits, one after the other."""
    manifests = tuple(
        Manifest(source, split) for split, several in sources.items() for source in several
    )
    counts = Counter((one.path.absolute(), one.source.view) for one in manifests)
    for (path, _), count in counts.items():
        if count > 1:
            raise ArgumentError(f"{path} is given {count} times; all its records would be repeats")
    for split in sources:
        if split not in (*SPLITS, OWN_SPLIT):
            raise ValueError(f"{split!r} is no split; known are {', '.join(SPLITS)}")
    return manifests


def _check_numbers(num_workers: int, file_timeout_s: float) -> None:
    if num_workers < 1:
        raise ArgumentError(
            f"--num_workers is {num_workers}: give 1 or more, for files are read in processes that "
            "can be ended."
        )
    if not 0 < file_timeout_s < float("inf"):
        raise ArgumentError(f"--file_timeout_s is {file_timeout_s:g}: give seconds, above 0.")


def _check_unchanged(manifests: Sequence[Manifest], before: Sequence[str]) -> None:
    for manifest, known in zip(manifests, before, strict=True):
        if content_hash(manifest.path) != known:
            raise ManifestError(f"{manifest.path}: has changed while it was checked; start again")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def _write(
    found: Inspection, *, out: Path, is_beside: bool, settings: ClipSettings, counts_tokens: bool
) -> Checked:
    """Write all files but the journal; return what they hold.

    Raises:
        StorageError: one cannot be written.
    """
    ledger, notes = found.ledger, found.notes
    clean = clean_sources(ledger, out=out, is_beside=is_beside)
    summary = summarise(found, clean=clean, settings=settings, counts_tokens=counts_tokens)
    num_clean = 0
    for number, manifest in enumerate(ledger.manifests):
        entries = [entry for entry in ledger.entries if entry.manifest == number]
        num_clean += write_clean(manifest, entries, Path(clean[number].path))
    quarantined = quarantined_of(ledger)
    write_lines(out / QUARANTINE_FILE, (one.as_dict() for one in quarantined))
    write_lines(out / NOTES_FILE, (note_as_dict(note, entry) for note, entry in notes))
    write_json(out / SUMMARY_FILE, summary)
    return Checked(
        out=out,
        clean=clean_by_split(ledger.manifests, clean),
        num_read=len(ledger.entries),
        num_clean=num_clean,
        quarantined=quarantined,
        notes=notes,
        num_examined=len(found.examined) - found.num_known,
        num_known=found.num_known,
        summary=summary,
    )


def clean_by_split(
    manifests: Sequence[Manifest], clean: Sequence[Source]
) -> dict[str, tuple[Source, ...]]:
    """Return clean data sets under every split, in the order in which the old ones were given."""
    pairs = [*zip(manifests, clean, strict=True)]
    return {
        split: tuple(source for manifest, source in pairs if manifest.split == split)
        for split in (*SPLITS, OWN_SPLIT)
    }
