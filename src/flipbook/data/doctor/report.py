"""What did a pass find, on a page of the terminal?

Checked -> lines for a person: what is clean, what is not and why, what to know besides
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from flipbook.data.doctor.checked import Checked
from flipbook.data.doctor.findings import FAULTS, NOTES
from flipbook.data.doctor.inspection import Note
from flipbook.data.doctor.writing import NOTES_FILE, QUARANTINE_FILE, told


def print_checked(checked: Checked, *, console: Console, folders: Sequence[str] = ()) -> None:
    """Print what was found, so that a person knows what to mend first.

    Args:
        folders: where relative media paths begin; what lies there is told of without them.
    """
    for line in _lines(checked, folders):
        console.print(Text(line.encode("utf-8", "backslashreplace").decode()))


def _lines(checked: Checked, folders: Sequence[str]) -> Iterator[str]:
    yield from _media_lines(checked)
    yield ""
    yield (
        f"{checked.num_clean:,} clean + {checked.num_quarantined:,} quarantined = "
        f"{checked.num_read:,} records read"
    )
    for facts in checked.summary["manifests"]:
        yield (
            f"  {facts['file']}: {facts['num_clean']:,} of {facts['num_read']:,} are clean "
            f"-> {_from_here(facts['clean_file'])}{_read_with(facts['clean_image_folder'])}"
        )
    if checked.quarantined:
        yield ""
        yield f"quarantined (all reasons are in {checked.out / QUARANTINE_FILE})"
        yield from _fault_lines(checked, folders)
    if checked.notes:
        yield ""
        yield f"kept, but worth knowing (all are in {checked.out / NOTES_FILE})"
        yield from _note_lines(checked.notes, folders)
    if not checked.summary["budget_and_labels_checked"]:
        yield ""
        yield "Token budget and labels were not looked at: no model was named."


def _shortened(reason: str, folders: Sequence[str]) -> str:
    for folder in folders:
        reason = reason.replace(f"{folder}{os.sep}", "")
    return reason


def _from_here(path: str) -> str:
    """Return a path as short as it can be given to the next command."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


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
        f"readable: {about} and {_counted(facts['num_images'], 'image')}, "
        f"{facts['num_bytes'] / 1e6:,.1f} MB; the model would see "
        f"{_counted(facts['num_frames_shown'], 'frame')} of them"
    )


def _fault_lines(checked: Checked, folders: Sequence[str]) -> Iterator[str]:
    first = {reason.code: reason for reason in reversed(checked.quarantined)}
    width = max(map(len, first))
    for code, counts in checked.summary["quarantined"].items():
        files = f", {_counted(counts['num_files'], 'file')}" if counts["num_files"] else ""
        records = _counted(counts["num_records"], "record")
        yield f"  {code:<{width}}  {records}{files}: {FAULTS[code]}"
        example = first[code]
        reason = _shortened(told(example.path, example.reason), folders)
        yield f"  {'':<{width}}  e.g. {example.record_id}: {reason}"


def _note_lines(notes: Sequence[Note], folders: Sequence[str]) -> Iterator[str]:
    counts = Counter(note.code for note, _ in notes)
    first = {note.code: (note, entry) for note, entry in reversed(notes)}
    width = max(map(len, counts))
    for code, count in counts.most_common():
        note, entry = first[code]
        name = f"{entry.record_id}: " if entry is not None else ""
        yield f"  {code:<{width}}  {count:,}: {NOTES[code]}"
        yield f"  {'':<{width}}  e.g. {name}{_shortened(told(note.path, note.reason), folders)}"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _range(spread: Mapping[str, float], unit: str) -> str:
    least, most = f"{spread['min']:.3g}", f"{spread['max']:.3g}"
    return f"{least} {unit}" if least == most else f"{least} to {most} {unit}"
