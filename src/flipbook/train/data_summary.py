"""What were a run's data, in numbers?

    tables of training and validation data  ->  RUN/data.json

It names files and records, and no folder of this machine.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flipbook.data.batch import DataModule
from flipbook.data.dataset import LazySupervisedDataset
from flipbook.data.sources import Source
from flipbook.data.written import write_json_whole

DATA_FILE = "data.json"
MAX_REASONS = 200
# All but the last part of an absolute path; not the slashes of "and/or", of "</s>" or of "https://".
_FOLDERS = re.compile(r"(?<![\w./\\<])(?:/(?![/\s])|[A-Za-z]:\\)(?:[^\s'\",;:()/\\]+[/\\])*")
_FILE_KEYS = ("file", "sha256", "num_records")


def write_data_summary(
    run_folder: Path, data: DataModule, *, files: Sequence[Mapping[str, Any]]
) -> Path:
    """Return the path of `data.json`.

    Args:
        files: `file`, `sha256`, `num_records` and `split` (train, validation) of each file of
            records, as the provenance of a run has them.
    """
    validation = data["eval_dataset"]
    content = {
        "train": summarise(data["train_dataset"], files=_of_split(files, "train")),
        "validation": None
        if validation is None
        else summarise(validation, files=_of_split(files, "validation")),
    }
    path = run_folder / DATA_FILE
    write_json_whole(path, content)
    return path


def summarise(
    dataset: LazySupervisedDataset, *, files: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what a data set holds.

    `num_records` are those that were read, the rejected among them, of which the first are listed
    with their reasons. Videos and images are counted once for all questions that show them behind
    the same words. Tasks are counted in conversations.
    """
    table, check = dataset.table, dataset.check
    _, first = np.unique(table.clips, return_index=True)
    tasks = Counter(table[place].task for place in range(len(table)))
    return {
        "files": list(files),
        "num_records": check.num_records,
        "num_conversations": check.num_conversations,
        "num_rejected": len(check.rejected),
        "rejected": [
            {
                "record_id": error.record_id,
                "reason": without_folders(error.message, table.sources),
            }
            for error in check.rejected[:MAX_REASONS]
        ],
        "num_videos": int(table.num_videos[first].sum()),
        "num_images": int(table.num_images[first].sum()),
        "longest_tokens": check.longest_tokens,
        "median_tokens": float(np.median(table.num_tokens)),
        "tasks": {task: number for task, number in tasks.items() if task is not None},
    }


def without_folders(text: str, sources: Sequence[Source]) -> str:
    """Return a reason with paths from the folders of the data, or without folders.

    "/home/me/clips/a/b.mp4 is missing", with clips in /home/me/clips  ->  "a/b.mp4 is missing"
    "/other/c.mp4 is missing"                                          ->  "c.mp4 is missing"
    """
    named = [name for source in sources for name in _folders_of(source)]
    for folder in sorted(
        {*map(os.path.abspath, named), *map(os.path.realpath, named)}, key=len, reverse=True
    ):
        text = text.replace(folder.rstrip(os.sep) + os.sep, "") if folder != os.sep else text
    return _FOLDERS.sub("", text)


def _folders_of(source: Source) -> list[str]:
    own = os.path.dirname(source.path)
    return [own] if source.image_folder is None else [own, source.image_folder]


def _of_split(files: Sequence[Mapping[str, Any]], split: str) -> list[dict[str, Any]]:
    return [{key: file[key] for key in _FILE_KEYS} for file in files if file["split"] == split]
