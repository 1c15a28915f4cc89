"""Which records of some files can be used, and are they enough?

paths -> Records (good ones, and those rejected with their reasons) -> go on, or refuse
"""

from __future__ import annotations

from collections.abc import Sequence

from flipbook.data.records import Record, Records, read_records
from flipbook.data.sources import Source, sources_of
from flipbook.errors import DataError, RecordError

NUM_REASONS_SHOWN = 5


def read_manifests(
    paths: str | Source | Sequence[str | Source], *, image_folder: str | None
) -> Records:
    """Return the records of one file or several, or of data sets, in order.

    Raises:
        ManifestError: a file cannot be read at all.
        ArgumentError: a YAML file is no mixture.
    """
    records: list[Record] = []
    rejected: list[RecordError] = []
    for source in sources_of(paths, image_folder=image_folder):
        found = read_records(source.path, image_folder=source.image_folder, view=source.view)
        records += found.records
        rejected += found.rejected
    return Records(tuple(records), tuple(rejected))


def refuse_bad_records(
    rejected: Sequence[RecordError],
    *,
    num_records: int,
    max_bad_fraction: float,
    paths: str | Sequence[str],
) -> None:
    """Refuse to go on with what is left when too many records cannot be used.

    Args:
        num_records: how many were read, the rejected ones among them.

    Raises:
        DataError: more than `max_bad_fraction` are rejected, or all of them.
    """
    names = paths if isinstance(paths, str) else ", ".join(paths)
    reasons = list_reasons(rejected)
    if len(rejected) == num_records:
        raise DataError(f"{names}: no record can be used ({num_records} read).{reasons}")
    fraction = len(rejected) / num_records
    if fraction > max_bad_fraction:
        raise DataError(
            f"{names}: {len(rejected)} of {num_records} records cannot be used "
            f"({fraction:.1%}, allowed are {max_bad_fraction:.1%}).{reasons}\n"
            "Mend or remove them, or accept the loss with --max_bad_fraction."
        )


def list_reasons(rejected: Sequence[RecordError]) -> str:
    """Return the first few reasons, each on a line of its own; empty where there are none."""
    lines = "".join(f"\n  - {error}" for error in rejected[:NUM_REASONS_SHOWN])
    if len(rejected) > NUM_REASONS_SHOWN:
        lines += f"\n  - and {len(rejected) - NUM_REASONS_SHOWN} more"
    return lines
