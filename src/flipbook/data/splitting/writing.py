"""How do divided records come into their files, whole or not at all?

file, split of each record -> one JSONL file for each split
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from flipbook.data.extras import SPLITS
from flipbook.data.json_text import json_line
from flipbook.data.own import row_of
from flipbook.data.rows import content_hash
from flipbook.data.splitting.groups import IntArray
from flipbook.data.splitting.reading import SplitFacts, used_records
from flipbook.errors import ArgumentError, ManifestError, StorageError


def refuse_existing(targets: Iterable[Path]) -> None:
    """Check that no file would be written over.

    Raises:
        ArgumentError: one is there.
    """
    for target in targets:
        if os.path.lexists(target):
            raise ArgumentError(
                f"{target}: is there already; remove it or name another folder with --out"
            )


def write_splits(
    path: Path,
    paths: dict[str, Path],
    *,
    splits: IntArray,
    facts: SplitFacts,
    image_folder: str | os.PathLike[str] | None,
    known: str,
) -> None:
    """Write each record into the file of its split.

    Args:
        path: the file that they come from.
        paths: of the files to write, by their splits.
        splits: int64 (N,), the split of each record.
        known: the hash that the content of `path` had at first.

    Raises:
        ManifestError: the content of `path` has changed.
        StorageError: the folder cannot be written to.
    """
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
                files[SPLITS[number]].write(json_line(row).encode())
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        if content_hash(path) != known:
            raise ManifestError(f"{path}: has changed while it was read; start again")
        for split, target in paths.items():
            staged[split].rename(target)
    except OSError as error:
        raise StorageError(
            f"{out}: cannot be written to ({error.strerror}); make room there or name another "
            "folder with --out"
        ) from error
    finally:
        for name in staged.values():
            with suppress(OSError):
                name.unlink()
