"""What came of a conversion, for a program and for a person?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flipbook.data.formats.table import FORMATS
from flipbook.data.manifests import list_reasons
from flipbook.data.sources import Source
from flipbook.errors import RecordError


@dataclass(frozen=True)
class Converted:
    """What was detected and written.

    Attributes:
        format_name: one of `FORMATS`.
        num_records: how many rows `path` has.
        rejected: the rows that are no records; all of them stand in `rejected_path`.
        path: of the written rows.
        samples: the first records, as a person reads them.
        image_folder: what --image_folder must name when `path` is read; None for nothing.
        rejected_path: None where nothing was rejected.
        notes: what the user should know of how the file was read.
    """

    format_name: str
    num_records: int
    rejected: Sequence[RecordError]
    path: Path
    samples: tuple[str, ...]
    image_folder: Path | None
    rejected_path: Path | None
    notes: tuple[str, ...] = ()

    def as_source(self, source: Source) -> Source:
        """Return a data set as it is read after its conversion."""
        folder = None if self.image_folder is None else str(self.image_folder)
        return replace(source, path=str(self.path), image_folder=folder)

    def told(self) -> str:
        """Return what was done, for a person: format, samples, what was left out, what is next."""
        about = FORMATS[self.format_name].about
        lines = [f"format: {self.format_name} ({about})", *self.notes, ""]
        for sample in self.samples:
            lines += [sample, ""]
        noun = "record" if self.num_records == 1 else "records"
        lines.append(f"{self.num_records:,} {noun} written to {self.path}")
        if self.rejected:
            lines.append(
                f"{len(self.rejected):,} left out, each with its reason in {self.rejected_path}:"
                f"{list_reasons(self.rejected)}"
            )
        folder = f" --image_folder {self.image_folder}" if self.image_folder is not None else ""
        return "\n".join([*lines, f"Train on it with --data_path {self.path}{folder}"])
