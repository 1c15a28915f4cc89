"""Which records of a data set are for training, for validation, and for the test?

a data set of records  ->  RUN/prepared/split/N: its splits, what was rejected
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from flipbook.data.doctor.writing import write_lines
from flipbook.data.rows import read_rows
from flipbook.data.sources import Source
from flipbook.data.splitting.split import split_manifest
from flipbook.train.arguments import Arguments

SPLIT_FOLDER, REJECTED_FILE = "split", "rejected.jsonl"


def divide(
    source: Source,
    arguments: Arguments,
    wanted: Sequence[float],
    *,
    folder: Path,
    tell: Callable[[str], object],
) -> dict[str, Source]:
    """Return the splits of a source: those that its records name, else shares of it by group.

    Where records name training and test data only, validation data are taken from the former.
    """
    is_named = any(
        isinstance(row, dict) and row.get("split") for _, row in read_rows(Path(source.path))
    )
    split = partial(
        split_manifest,
        seed=arguments.training.order_seed,
        max_bad_fraction=arguments.data.max_bad_fraction,
        by_content=True,
    )
    result = split(
        source.path,
        out=folder / "divided",
        image_folder=source.image_folder,
        fractions=[1.0, 0.0, 0.0] if is_named else wanted,
    )
    rejected = list(result.rejected)
    results = {name: (path, result) for name, path in result.paths.items()}
    if wanted[1] > 0 and "validation" not in results and "train" in results:
        share = wanted[1] / (wanted[0] + wanted[1])
        taken = split(
            results["train"][0],
            out=folder / "taken",
            image_folder=result.image_folder,
            fractions=[1 - share, share, 0.0],
            override=True,
        )
        results |= {name: (path, taken) for name, path in taken.paths.items()}
        rejected += taken.rejected
    write_lines(
        folder / REJECTED_FILE, ({"id": one.record_id, "reason": one.message} for one in rejected)
    )
    for name, (path, found) in results.items():
        tell(f"{name}: {found.counts[name].records:,} records in {path}")
    for note in result.notes:
        tell(f"  {note}")
    return {
        name: replace(source, path=str(path), image_folder=_text(found.image_folder))
        for name, (path, found) in results.items()
    }


def _text(path: Path | str | None) -> str | None:
    return None if path is None else str(path)
