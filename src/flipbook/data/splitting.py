"""How is one file of records divided into training, validation and test?

    records.jsonl, fractions, seed -> DIR/train.jsonl, validation.jsonl, test.jsonl; SplitResult

Records that share a clip or a group are never divided. The file is read twice, and of each record
only its number, its split and a hash for each clip stay in memory. One seed gives the same result
on any machine and in whichever order the rows come, as long as the records have ids or show clips.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flipbook.data.extras import SPLITS
from flipbook.data.manifests import refuse_bad_records
from flipbook.data.own import row_of
from flipbook.data.rows import content_hash
from flipbook.data.split_groups import (
    NOT_KEPT,
    Groups,
    IntArray,
    Placement,
    join_rows,
    place_groups,
)
from flipbook.data.split_reading import (
    BY,
    STRATIFY,
    SplitFacts,
    choose_strata,
    ids_at,
    read_facts,
    used_records,
)
from flipbook.errors import ArgumentError, ManifestError, RecordError, did_you_mean

FRACTIONS = (0.8, 0.1, 0.1)
SEED = 42


class SplitCounts(NamedTuple):
    """What went into a split; `strata` counts the records of each."""

    groups: int
    records: int
    strata: dict[str, int]


@dataclass(frozen=True)
class SplitResult:
    """What was written.

    Attributes:
        paths: of the splits that have records.
        counts: of every split that was asked for or has records.
        num_groups: in all.
        stratified_by: "task", "answer" or "none".
        image_folder: must be given to read the files; None where all media lie beside them.
        notes: what a person should know, a sentence each.
        rejected: records that cannot be used and are in no split.
    """

    paths: dict[str, Path]
    counts: dict[str, SplitCounts]
    num_groups: int
    stratified_by: str
    image_folder: Path | None
    notes: tuple[str, ...] = ()
    rejected: tuple[RecordError, ...] = ()


def split_manifest(
    path: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    image_folder: str | os.PathLike[str] | None = None,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = SEED,
    by: str = "group",
    stratify: str = "auto",
    override: bool = False,
    max_bad_fraction: float = 0.0,
) -> SplitResult:
    """Return what was written, after dividing the records of a file between new files in `out`.

    Args:
        path: a JSON or JSONL file of records.
        out: made if need be; holds none of the three files yet.
        image_folder: see `read_records`.
        fractions: of training, validation and test; they add up to 1.
        by: "group" keeps together what shares a group or a clip, "video" what shares a clip.
        stratify: what every split gets its share of: "task", "answer", "none", or "auto", which is
            the answer where all records are of kind classification, and else the task.
        override: divide anew also the records that have a split.

    Raises:
        ManifestError: the file cannot be read.
        ArgumentError: an argument is wrong, a file is there already, there are too few groups, or
            records that belong together have different splits.
        DataError: too many records cannot be used.
    """
    path, out = Path(path), Path(out)
    _check_arguments(fractions, by=by, stratify=stratify)
    targets = {split: out / f"{split}.jsonl" for split in SPLITS}
    _refuse_existing(targets.values())
    known = content_hash(path)
    facts = read_facts(path, out=out, image_folder=image_folder, by=by)
    refuse_bad_records(
        facts.rejected,
        num_records=len(facts.is_used),
        max_bad_fraction=max_bad_fraction,
        paths=str(path),
    )
    stratified_by, strata, labels = choose_strata(facts, stratify)
    groups = join_rows(facts.num_records, edge_rows=facts.edge_rows, edge_keys=facts.edge_keys)
    kept = _kept_splits(groups, facts, path, override=override)
    placement = place_groups(
        groups, strata=strata, kept=kept, fractions=fractions, names=SPLITS, seed=seed
    )
    splits = placement.splits[groups.numbers]
    filled = [split for number, split in enumerate(SPLITS) if (splits == number).any()]
    paths = {split: targets[split] for split in filled}
    _write(path, paths, splits=splits, facts=facts, image_folder=image_folder, known=known)
    counts = {
        split: _count(number, groups, placement, splits=splits, strata=strata, labels=labels)
        for number, split in enumerate(SPLITS)
        if split in filled or fractions[number] > 0
    }
    return SplitResult(
        paths=paths,
        counts=counts,
        num_groups=len(groups.keys),
        stratified_by=stratified_by,
        image_folder=facts.image_folder,
        notes=tuple(_notes(groups, placement, counts, kept=kept)),
        rejected=facts.rejected,
    )


def _check_arguments(fractions: Sequence[float], *, by: str, stratify: str) -> None:
    are_sound = len(fractions) == len(SPLITS) and all(0 <= f <= 1 for f in fractions)
    if not are_sound or not math.isclose(math.fsum(fractions), 1, abs_tol=1e-6):
        raise ArgumentError(
            f"--fractions {' '.join(f'{f:g}' for f in fractions)}: give {len(SPLITS)} numbers from "
            f"0 to 1 that add up to 1, for {', '.join(SPLITS)}."
        )
    for flag, word, choices in (("by", by, BY), ("stratify", stratify, STRATIFY)):
        if word not in choices:
            raise ArgumentError(
                f"--{flag} {word!r} is unknown; known are {', '.join(choices)}."
                f"{did_you_mean(word, choices)}"
            )


def _refuse_existing(targets: Iterable[Path]) -> None:
    for target in targets:
        if os.path.lexists(target):
            raise ArgumentError(
                f"{target}: is there already; remove it or name another folder with --out"
            )


def _kept_splits(groups: Groups, facts: SplitFacts, path: Path, *, override: bool) -> IntArray:
    """Return the split that each group has already, (G,); `NOT_KEPT` where it has none.

    Raises:
        ArgumentError: records of one group have different ones.
    """
    kept = np.full(len(groups.keys), NOT_KEPT, dtype=np.int64)
    rows = np.flatnonzero(facts.splits != NOT_KEPT)
    if override or not len(rows):
        return kept
    kept[groups.numbers[rows]] = facts.splits[rows]
    differs = rows[kept[groups.numbers[rows]] != facts.splits[rows]]
    if not len(differs):
        return kept
    first = int(differs[0])
    is_sibling = groups.numbers[rows] == groups.numbers[first]
    other = int(rows[is_sibling & (facts.splits[rows] != facts.splits[first])][0])
    names = ids_at(path, facts, {first, other})
    raise ArgumentError(
        f"record {names[first]} is in {SPLITS[facts.splits[first]]} and record {names[other]} in "
        f"{SPLITS[facts.splits[other]]}, and both belong to one group or clip, directly or over "
        "other records; mend their 'split', or divide all records anew with --override"
    )


def _write(
    path: Path,
    paths: dict[str, Path],
    *,
    splits: IntArray,
    facts: SplitFacts,
    image_folder: str | os.PathLike[str] | None,
    known: str,
) -> None:
    """Write each record into the file of its split: all files whole, or none."""
    out = next(iter(paths.values())).parent
    folder = facts.image_folder or out
    staged = {
        split: target.with_name(f".{target.name}.unfinished") for split, target in paths.items()
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            files = {split: stack.enter_context(name.open("wb")) for split, name in staged.items()}
            records = used_records(path, facts, image_folder=image_folder)
            for number, record in zip(splits.tolist(), records, strict=False):
                row = row_of(record, folder=folder) | {"split": SPLITS[number]}
                files[SPLITS[number]].write(_line_of(row))
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        if content_hash(path) != known:
            raise ManifestError(f"{path}: has changed while it was read; start again")
        for split, target in paths.items():
            staged[split].rename(target)
    except OSError as error:
        raise ArgumentError(
            f"{out}: cannot be written to ({error.strerror}); make room there or name another "
            "folder with --out"
        ) from error
    finally:
        for name in staged.values():
            name.unlink(missing_ok=True)


def _line_of(row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # the name of a file that is no text
        return json.dumps(row).encode() + b"\n"


def _count(
    number: int,
    groups: Groups,
    placement: Placement,
    *,
    splits: IntArray,
    strata: IntArray,
    labels: Sequence[str],
) -> SplitCounts:
    """Return what went into a split."""
    counts = np.bincount(strata[splits == number], minlength=len(labels)).tolist()
    return SplitCounts(
        groups=int((placement.splits == number).sum()),
        records=int((splits == number).sum()),
        strata=dict(sorted(zip(labels, counts, strict=True))),
    )


def _notes(
    groups: Groups, placement: Placement, counts: Mapping[str, SplitCounts], *, kept: IntArray
) -> Iterator[str]:
    """Yield what a person should know of a division, a sentence each."""
    num_kept = int((kept != NOT_KEPT).sum())
    if num_kept:
        yield (
            f"{_groups(num_kept)} stayed in the split that its records name; --override divides "
            "them anew."
        )
    if placement.too_large:
        sizes = np.bincount(groups.numbers)[list(placement.too_large)]
        yield (
            f"{_groups(len(sizes))} with more records than the share of a split, up to "
            f"{int(sizes.max()):,}, went where they fit, or to train where they fit nowhere."
        )
    if placement.moved:
        yield (
            f"{_groups(len(placement.moved))} went to a split that would have been empty, so the "
            "fractions are not as given."
        )
    for split, count in counts.items():
        missing = [label for label, number in count.strata.items() if not number]
        if missing and count.records:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            yield f"{split} has no record of {', '.join(missing[:3])}{more}."


def _groups(number: int) -> str:
    return f"{number:,} group{'' if number == 1 else 's'}"
