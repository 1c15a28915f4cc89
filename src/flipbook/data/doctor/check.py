"""Can this data set be trained on, and which of its records cannot?

    manifests, ClipSettings, ConversationEncoder -> Checked: clean manifests, quarantine, summary

One pass: all rows are read, each different video and image is decoded at the instants that the run
would show, tokens are counted, and what the splits share is looked for. It can be stopped and goes
on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flipbook.data.doctor.examine import Examined, examine
from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.journal import Journal
from flipbook.data.doctor.leakage import Contents, find_leaks
from flipbook.data.doctor.ledger import (
    OWN_SPLIT,
    Entry,
    Ledger,
    Manifest,
    RowReader,
    read_ledger,
)
from flipbook.data.doctor.lengths import find_lengths
from flipbook.data.doctor.reading import read_media
from flipbook.data.doctor.repeats import find_same_content
from flipbook.data.doctor.report import Checked, print_checked, summarise
from flipbook.data.doctor.writing import (
    NOTES_FILE,
    QUARANTINE_FILE,
    SUMMARY_FILE,
    clean_sources,
    make_folder,
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
from flipbook.data.table import num_cores
from flipbook.errors import ArgumentError, ManifestError
from flipbook.video.settings import ClipSettings

JOURNAL_FILE = "journal.jsonl"
CONTENTS_FOLDER = "contents"
FILE_TIMEOUT_S = 60.0

Note = tuple[Finding, Entry | None]


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

    Raises:
        ManifestError: a manifest cannot be read, or changes while it is.
        ArgumentError: an image folder is no folder, a manifest is given twice, a number is wrong.
        DataError: the lists cannot be written, or no processes can be kept.
    """
    num_workers = num_cores() if num_workers is None else num_workers
    _check_numbers(num_workers, file_timeout_s)
    manifests = _manifests(sources)
    console = Console(quiet=True) if console is None else console
    reader = RowReader(manifests)
    before = [content_hash(manifest.path) for manifest in manifests]
    make_folder(out)
    with _progress(console) as progress:
        rows = progress.track(reader.rows(), description="reading records")
        ledger = read_ledger(reader, rows, settings)
        examined, num_known = read_media(
            ledger,
            Journal(out / JOURNAL_FILE, settings=settings, timeout_s=file_timeout_s),
            partial(work, settings=settings, contents_folder=out / CONTENTS_FOLDER),
            progress,
            num_workers=num_workers,
            timeout_s=file_timeout_s,
        )
        _add_media_faults(ledger, examined)
        if encoder is not None:
            _count_tokens(reader, ledger, examined, encoder, progress, num_workers=num_workers)
    for entry, leak in list(find_leaks(ledger.entries, _contents_of(ledger, examined))):
        entry.findings.append(leak)
    notes = _all_notes(ledger, examined)
    clean = clean_sources(ledger, out=out, is_beside=is_beside)
    _check_unchanged(manifests, before)
    summary = summarise(
        ledger,
        examined,
        notes,
        clean=clean,
        settings=settings,
        counts_tokens=encoder is not None,
    )
    checked = Checked(
        out=out,
        clean=_by_split(manifests, clean, sources),
        num_read=len(ledger.entries),
        num_clean=_write(ledger, notes, clean, out=out, summary=summary),
        quarantined=quarantined_of(ledger),
        notes=Counter(note.code for note, _ in notes),
        num_examined=len(examined) - num_known,
        num_known=num_known,
        summary=summary,
    )
    starts = dict.fromkeys(str(folders.start) for folders in reader.folders)
    print_checked(checked, notes, console=console, folders=[*starts])
    return checked


def _manifests(sources: Mapping[str, Sequence[Source]]) -> tuple[Manifest, ...]:
    """Return the data sets of all splits, one after the other."""
    manifests = tuple(
        Manifest(source, split) for split, several in sources.items() for source in several
    )
    counts = Counter(manifest.path.absolute() for manifest in manifests)
    for path, count in counts.items():
        if count > 1:
            raise ArgumentError(f"{path} is given {count} times; all its records would be repeats")
    for split in sources:
        if split not in (*SPLITS, OWN_SPLIT):
            raise ValueError(f"{split!r} is no split; known are {', '.join(SPLITS)}")
    return manifests


def _by_split(
    manifests: Sequence[Manifest], clean: Sequence[Source], splits: Iterable[str]
) -> dict[str, tuple[Source, ...]]:
    """Return clean data sets as the old ones were given."""
    pairs = [*zip(manifests, clean, strict=True)]
    return {
        split: tuple(source for manifest, source in pairs if manifest.split == split)
        for split in splits
    }


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


def _add_media_faults(ledger: Ledger, examined: Mapping[int, Examined]) -> None:
    for entry in ledger.entries:
        for number in entry.media:
            fault = examined[number].fault if number in examined else None
            if fault is not None:
                entry.findings.append(fault)


def _count_tokens(
    reader: RowReader,
    ledger: Ledger,
    examined: Mapping[int, Examined],
    encoder: ConversationEncoder,
    progress: Progress,
    *,
    num_workers: int,
) -> None:
    """Add what is found when records are encoded."""
    frames_of = {
        item: examined[number].num_frames
        for item, number in ledger.media.items()
        if number in examined and examined[number].fault is None
    }
    task = progress.add_task("counting tokens", total=len(ledger.entries))
    for number, findings in find_lengths(
        reader, ledger, frames_of=frames_of, encoder=encoder, num_workers=num_workers
    ):
        ledger.entries[number].findings += findings
        progress.update(task, completed=number + 1)


def _contents_of(ledger: Ledger, examined: Mapping[int, Examined]) -> Contents:
    """Return a function: entry -> hash and path of each video and image that it shows."""
    items = list(ledger.media)

    def contents(entry: Entry) -> list[tuple[str, str]]:
        shown = [(examined[number].content, items[number].path) for number in entry.media]
        return [(content, path) for content, path in shown if content is not None]

    return contents


def _all_notes(ledger: Ledger, examined: Mapping[int, Examined]) -> list[Note]:
    """Return what is unusual about files and about records, each once."""
    of_media = dict.fromkeys(note for found in examined.values() for note in found.notes)
    contents = (
        (found.content, item.path)
        for item, number in ledger.media.items()
        if (found := examined.get(number)) is not None and found.content is not None
    )
    notes: list[Note] = [(note, None) for note in (*of_media, *find_same_content(contents))]
    notes += [
        (finding, entry)
        for entry in ledger.entries
        for finding in dict.fromkeys(entry.findings)
        if not finding.rejects
    ]
    return notes


def _write(
    ledger: Ledger,
    notes: Sequence[Note],
    clean: Sequence[Source],
    *,
    out: Path,
    summary: dict[str, object],
) -> int:
    """Write all files but the journal; return how many rows the clean manifests have.

    Raises:
        DataError: one cannot be written.
    """
    num_clean = 0
    for number, manifest in enumerate(ledger.manifests):
        entries = [entry for entry in ledger.entries if entry.manifest == number]
        num_clean += write_clean(manifest, entries, Path(clean[number].path))
    write_lines(out / QUARANTINE_FILE, (one.as_dict() for one in quarantined_of(ledger)))
    write_lines(out / NOTES_FILE, (note_as_dict(note, entry) for note, entry in notes))
    write_json(out / SUMMARY_FILE, summary)
    return num_clean
