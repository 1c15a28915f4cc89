"""How is one file of records divided into training, validation and test?

    records.jsonl, fractions, seed -> DIR/train.jsonl, validation.jsonl, test.jsonl; SplitResult

Records that share a clip or a group are never divided. The file is read twice, and of each record
only its number, its split and a hash for each clip stay in memory. One seed gives the same result
on any machine and in whichever order the rows come, as long as the records have ids or show clips.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flipbook.data.extras import SPLITS
from flipbook.data.manifests import refuse_bad_records
from flipbook.data.rows import content_hash
from flipbook.data.splitting.groups import (
    NOT_KEPT,
    Groups,
    IntArray,
    Placement,
    join_rows,
    place_groups,
)
from flipbook.data.splitting.reading import (
    BY,
    STRATIFY,
    SplitFacts,
    choose_strata,
    ids_at,
    read_facts,
)
from flipbook.data.splitting.writing import refuse_existing, write_splits
from flipbook.errors import ArgumentError, RecordError, did_you_mean

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
    by_content: bool = True,
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
        by_content: clips of different names are the same clip where their content is the same.
        override: divide anew also the records that have a split.

    Raises:
        ManifestError: the file cannot be read.
        ArgumentError: an argument is wrong, a file is there already, there are too few groups, or
            records that belong together have different splits.
        DataError: too many records cannot be used, or a clip cannot be read.
    """
    path, out = Path(path), Path(out)
    check_fractions(fractions)
    _check_words(by=by, stratify=stratify)
    targets = {split: out / f"{split}.jsonl" for split in SPLITS}
    refuse_existing(targets.values())
    known = content_hash(path)
    facts = read_facts(path, out=out, image_folder=image_folder, by=by, by_content=by_content)
    refuse_bad_records(
        facts.rejected,
        num_records=len(facts.is_used),
        max_bad_fraction=max_bad_fraction,
        paths=str(path),
    )
    division = _divide(
        facts, path, fractions=fractions, seed=seed, stratify=stratify, override=override
    )
    paths = {split: targets[split] for split in SPLITS if division.has(split)}
    write_splits(
        path, paths, splits=division.splits, facts=facts, image_folder=image_folder, known=known
    )
    return _result(division, facts, paths, fractions=fractions)


@dataclass(frozen=True)
class _Division:
    """Where each record goes."""

    groups: Groups
    kept: IntArray
    placement: Placement
    stratified_by: str
    strata: IntArray
    labels: Sequence[str]

    @property
    def splits(self) -> IntArray:
        return self.placement.splits[self.groups.numbers]

    def has(self, split: str) -> bool:
        return bool((self.placement.splits == SPLITS.index(split)).any())

    def count(self, number: int) -> SplitCounts:
        is_there = self.splits == number
        counts = np.bincount(self.strata[is_there], minlength=len(self.labels)).tolist()
        return SplitCounts(
            groups=int((self.placement.splits == number).sum()),
            records=int(is_there.sum()),
            strata=dict(sorted(zip(self.labels, counts, strict=True))),
        )


def _divide(
    facts: SplitFacts,
    path: Path,
    *,
    fractions: Sequence[float],
    seed: int,
    stratify: str,
    override: bool,
) -> _Division:
    stratified_by, strata, labels = choose_strata(facts, stratify)
    groups = join_rows(facts.num_records, edge_rows=facts.edge_rows, edge_keys=facts.edge_keys)
    kept = _kept_splits(groups, facts, path, override=override)
    placement = place_groups(
        groups, strata=strata, kept=kept, fractions=fractions, names=SPLITS, seed=seed
    )
    return _Division(groups, kept, placement, stratified_by, strata, labels)


def check_fractions(fractions: Sequence[float], *, flag: str = "fractions") -> None:
    """Check that there is a share for each split.

    Args:
        flag: by which they were given.

    Raises:
        ArgumentError: there are more or fewer, one is no share, or they do not add up to 1.
    """
    are_sound = len(fractions) == len(SPLITS) and all(0 <= f <= 1 for f in fractions)
    if not are_sound or not math.isclose(math.fsum(fractions), 1, abs_tol=1e-6):
        raise ArgumentError(
            f"--{flag} {' '.join(f'{f:g}' for f in fractions)}: give {len(SPLITS)} numbers from "
            f"0 to 1 that add up to 1, for {', '.join(SPLITS)}."
        )


def _check_words(*, by: str, stratify: str) -> None:
    for flag, word, choices in (("by", by, BY), ("stratify", stratify, STRATIFY)):
        if word not in choices:
            raise ArgumentError(
                f"--{flag} {word!r} is unknown; known are {', '.join(choices)}."
                f"{did_you_mean(word, choices)}"
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


def _result(
    division: _Division, facts: SplitFacts, paths: dict[str, Path], *, fractions: Sequence[float]
) -> SplitResult:
    """Return what is known after all was written."""
    counts = {
        split: division.count(number)
        for number, split in enumerate(SPLITS)
        if split in paths or fractions[number] > 0
    }
    return SplitResult(
        paths=paths,
        counts=counts,
        num_groups=len(division.groups.keys),
        stratified_by=division.stratified_by,
        image_folder=facts.image_folder,
        notes=tuple(_notes(division, counts)),
        rejected=facts.rejected,
    )


def _notes(division: _Division, counts: Mapping[str, SplitCounts]) -> Iterator[str]:
    """Yield what a person should know of a division, a sentence each."""
    placement = division.placement
    num_kept = int((division.kept != NOT_KEPT).sum())
    if num_kept:
        yield (
            f"{_groups(num_kept)} stayed in the split that its records name; --override divides "
            "them anew."
        )
    if placement.too_large:
        sizes = np.bincount(division.groups.numbers)[list(placement.too_large)]
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
