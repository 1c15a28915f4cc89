"""What did a pass find and write, in numbers?

Inspection, clean data sets -> summary, as JSON has it
                            -> Checked: what other code asks a pass for
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flipbook.data.doctor.examine import Examined
from flipbook.data.doctor.inspection import Inspection, Note
from flipbook.data.doctor.ledger import Ledger
from flipbook.data.doctor.writing import QUARANTINE_FILE, Quarantined
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
