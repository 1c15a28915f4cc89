"""What did a pass find, in numbers and on a page of the terminal?

Checked, Examined, ... -> summary (as JSON has it) -> lines for a person
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from flipbook.data.doctor.examine import Examined
from flipbook.data.doctor.findings import FAULTS, NOTES
from flipbook.data.doctor.inspection import Inspection, Note
from flipbook.data.doctor.ledger import Ledger
from flipbook.data.doctor.writing import NOTES_FILE, QUARANTINE_FILE, Quarantined, told
from flipbook.data.sources import Source
from flipbook.data.turns import Media
from flipbook.errors import DataError
from flipbook.video.settings import ClipSettings


@dataclass(frozen=True)
class Checked:
    """What a pass found and wrote.

    Attributes:
        out: the folder with the lists.
        clean: the clean data sets, under the split for which they were given, in their order.
        num_read: rows of all manifests, sound or not.
        num_clean: rows of the clean manifests.
        quarantined: why the others are left out, one for each record and reason.
        notes: what is unusual about files, and about records (with their entry).
        num_examined: videos and images, with their views, that this pass read.
        num_known: those that an earlier pass had read.
        summary: all counts, as in `summary.json`.
    """

    out: Path
    clean: dict[str, tuple[Source, ...]]
    num_read: int
    num_clean: int
    quarantined: tuple[Quarantined, ...]
    notes: tuple[Note, ...]
    num_examined: int
    num_known: int
    summary: dict[str, Any]

    @property
    def num_quarantined(self) -> int:
        """Rows that are left out."""
        return self.num_read - self.num_clean

    def refuse_bad(self, max_bad_fraction: float) -> None:
        """Refuse a data set of which too much is quarantined.

        Raises:
            DataError: more than `max_bad_fraction` of the records are, or all of them.
        """
        num_bad = self.num_quarantined
        if num_bad <= max_bad_fraction * self.num_read and self.num_clean:
            return
        places = ", ".join(source.path for found in self.clean.values() for source in found)
        raise DataError(
            f"{num_bad:,} of {self.num_read:,} records are quarantined "
            f"({num_bad / self.num_read:.1%}, allowed are {max_bad_fraction:.1%}). The reasons are "
            f"in {self.out / QUARANTINE_FILE}, and the clean manifests are {places}. Mend what is "
            "wrong, go on with the clean manifests, or accept the loss with --max_bad_fraction."
        )


def summarise(
    found: Inspection,
    *,
    clean: Sequence[Source],
    settings: ClipSettings,
    counts_tokens: bool,
) -> dict[str, Any]:
    """Return all counts.

    Args:
        clean: the clean data sets, in the order of the old ones.
        counts_tokens: whether budget and labels were looked at.
    """
    ledger = found.ledger
    num_clean = sum(entry.is_sound for entry in ledger.entries)
    return {
        "flipbook": version("flipbook-vlm"),
        "num_read": len(ledger.entries),
        "num_clean": num_clean,
        "num_quarantined": len(ledger.entries) - num_clean,
        "manifests": _manifests(ledger, clean),
        "quarantined": _by_code(ledger),
        "notes": dict(Counter(note.code for note, _ in found.notes)),
        "media": _media_facts(ledger, found.examined),
        "clip_settings": asdict(settings),
        "budget_and_labels_checked": counts_tokens,
    }


def _manifests(ledger: Ledger, clean: Sequence[Source]) -> list[dict[str, Any]]:
    read = Counter(entry.manifest for entry in ledger.entries)
    sound = Counter(entry.manifest for entry in ledger.entries if entry.is_sound)
    splits = Counter((entry.manifest, entry.split) for entry in ledger.entries if entry.is_sound)
    return [
        {
            "file": str(manifest.path),
            "used_as": manifest.split,
            "num_read": read[number],
            "num_clean": sound[number],
            "num_quarantined": read[number] - sound[number],
            "clean_by_split": {
                split: count for (place, split), count in splits.items() if place == number
            },
            "clean_file": clean[number].path,
            "clean_image_folder": clean[number].image_folder,
        }
        for number, manifest in enumerate(ledger.manifests)
    ]


def _by_code(ledger: Ledger) -> dict[str, dict[str, int]]:
    """Return of each fault how many records and how many files have it, most records first."""
    records: Counter[str] = Counter()
    files: dict[str, set[str]] = {}
    for entry in ledger.entries:
        faults = [finding for finding in entry.findings if finding.rejects]
        records.update({finding.code for finding in faults})
        for finding in faults:
            files.setdefault(finding.code, set()).update({finding.path} - {""})
    return {
        code: {"num_records": count, "num_files": len(files[code])}
        for code, count in records.most_common()
    }


def _media_facts(ledger: Ledger, examined: Mapping[int, Examined]) -> dict[str, Any]:
    """Return what the media are like that could be read; a file counts once."""
    files: dict[tuple[str, tuple[str, ...]], tuple[Media, Examined]] = {}
    for item, number in ledger.media.items():
        found = examined.get(number)
        if found is not None and found.fault is None:
            files.setdefault((item.path, item.frames), (item, found))
    infos = [found.info for _, found in files.values() if found.info is not None]
    kinds = Counter(item.kind for item, _ in files.values())
    return {
        "num_videos": kinds["video"],
        "num_images": kinds["image"],
        "num_bytes": sum(found.num_bytes for _, found in files.values()),
        "hours": sum(info.duration_s for info in infos) / 3600,
        "num_frames": sum(info.num_frames for info in infos),
        "num_frames_shown": sum(
            found.num_frames for found in examined.values() if found.fault is None
        ),
        "frames_per_s": _spread([info.frames_per_s for info in infos]),
        "duration_s": _spread([info.duration_s for info in infos]),
        "sizes": dict(Counter(f"{info.width}x{info.height}" for info in infos).most_common()),
        "codecs": dict(Counter(info.codec for info in infos).most_common()),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def print_checked(checked: Checked, *, console: Console, folders: Sequence[str] = ()) -> None:
    """Print what was found, so that a person knows what to mend first.

    Args:
        folders: paths in them are printed without them.
    """
    for line in _lines(checked):
        for folder in folders:
            line = line.replace(f"{folder}/", "")
        console.print(Text(line))


def _lines(checked: Checked) -> Iterator[str]:
    yield from _media_lines(checked)
    yield ""
    yield (
        f"{checked.num_clean:,} clean + {checked.num_quarantined:,} quarantined = "
        f"{checked.num_read:,} records read"
    )
    for facts in checked.summary["manifests"]:
        yield (
            f"  {facts['file']}: {facts['num_clean']:,} of {facts['num_read']:,} are clean "
            f"-> {facts['clean_file']}{_read_with(facts['clean_image_folder'])}"
        )
    if checked.quarantined:
        yield ""
        yield f"quarantined (all reasons are in {checked.out / QUARANTINE_FILE})"
        yield from _fault_lines(checked)
    if checked.notes:
        yield ""
        yield f"kept, but worth knowing (all are in {checked.out / NOTES_FILE})"
        yield from _note_lines(checked.notes)
    if not checked.summary["budget_and_labels_checked"]:
        yield ""
        yield "Token budget and labels were not looked at: no model was named."


def _read_with(image_folder: str | None) -> str:
    return "" if image_folder is None else f" (read it with --image_folder {image_folder})"


def _media_lines(checked: Checked) -> Iterator[str]:
    facts = checked.summary["media"]
    yield (
        f"videos and images: {checked.num_examined:,} read now, {checked.num_known:,} known from "
        "an earlier pass"
    )
    about = _counted(facts["num_videos"], "video")
    if facts["hours"]:
        sizes = list(facts["sizes"])
        shown = ", ".join(sizes[:3]) + (f" and {len(sizes) - 3} more" if len(sizes) > 3 else "")
        rate, length = facts["frames_per_s"], facts["duration_s"]
        about += (
            f" ({_duration(3600 * facts['hours'])} in all, each {_range(length, 's')}, "
            f"{_range(rate, 'frames/s')}, {shown} px)"
        )
    yield (
        f"sound: {about} and {_counted(facts['num_images'], 'image')}, "
        f"{facts['num_bytes'] / 1e6:,.1f} MB; the model would see "
        f"{_counted(facts['num_frames_shown'], 'frame')} of them"
    )


def _fault_lines(checked: Checked) -> Iterator[str]:
    first = {reason.code: reason for reason in reversed(checked.quarantined)}
    width = max(map(len, first))
    for code, counts in checked.summary["quarantined"].items():
        files = f", {_counted(counts['num_files'], 'file')}" if counts["num_files"] else ""
        records = _counted(counts["num_records"], "record")
        yield f"  {code:<{width}}  {records}{files}: {FAULTS[code]}"
        example = first[code]
        yield (f"  {'':<{width}}  e.g. {example.record_id}: {told(example.path, example.reason)}")


def _note_lines(notes: Sequence[Note]) -> Iterator[str]:
    counts = Counter(note.code for note, _ in notes)
    first = {note.code: (note, entry) for note, entry in reversed(notes)}
    width = max(map(len, counts))
    for code, count in counts.most_common():
        note, entry = first[code]
        name = f"{entry.record_id}: " if entry is not None else ""
        yield f"  {code:<{width}}  {count:,}: {NOTES[code]}"
        yield f"  {'':<{width}}  e.g. {name}{told(note.path, note.reason)}"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _range(spread: Mapping[str, float], unit: str) -> str:
    least, most = f"{spread['min']:.3g}", f"{spread['max']:.3g}"
    return f"{least} {unit}" if least == most else f"{least} to {most} {unit}"
