"""Which data sets does a run read, how often each, and how are its clips read?

paths of manifests, or a YAML file of a mixture  ->  Sources

datasets:
  - path: squats.jsonl
    weight: 2               # each record twice in an epoch
    num_video_frames: 16
  - path: stills.json
    image_folder: pictures
    weight: 0.25            # a quarter of the records in each epoch, others in the next
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from flipbook.errors import ArgumentError, RecordError, did_you_mean
from flipbook.video.view import WHOLE, View

MIXTURE_ENDINGS = (".yaml", ".yml")
_VIEW_OF_FLAG = {
    "num_video_frames": "num_frames",
    "frame_sampler": "sampler",
    "frame_size": "frame_size",
    "image_aspect_ratio": "aspect",
    "frames_per_s": "frames_per_s",
    "min_frames": "min_frames",
    "max_frames": "max_frames",
    "frames_fps": "frames_fps",
}
_OWN_KEYS = ("path", "image_folder", "weight", "format", "map", "prompt")


@dataclass(frozen=True)
class Source:
    """One data set of a run.

    Attributes:
        path: of its manifest.
        image_folder: where its relative media paths begin; None is the manifest's own folder.
        weight: how often each of its records is seen in an epoch, above 0. Of 2.5 all are seen
            twice and half of them once more, other halves in other epochs.
        view: how its clips are read, where neither a record says so nor the run is to.
        use: "train" where it is learned from, "validation" where it is not; None where nobody
            minds. Records that name another split are refused.
        format_name, columns, prompt: how a file is read that is no manifest yet; see `formats`.

    Raises:
        ArgumentError: the weight is no finite number above 0.
    """

    path: str
    image_folder: str | None = None
    weight: float = 1.0
    view: View = WHOLE
    use: str | None = None
    format_name: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    prompt: str | None = None

    def __post_init__(self) -> None:
        is_number = isinstance(self.weight, (int, float)) and not isinstance(self.weight, bool)
        if not is_number or not 0 < self.weight < math.inf:
            raise ArgumentError(
                f"{self.path}: weight is {self.weight!r}; it says how often each record is seen in "
                "an epoch, so give a number above 0"
            )

    def check_use(self, record_id: str, split: str | None) -> None:
        """Check that a record of some split may stand in this data set.

        Raises:
            RecordError: it would be learned from and tested on, or the other way round.
        """
        if split is None or self.use is None or (split == "train") == (self.use == "train"):
            return
        raise RecordError(
            record_id,
            f"is of split {split}, and its file is used for {self.use}; divide the file with "
            f"`flipbook data split {self.path} --out DIR`, and name the part that is meant",
        )

    def filled_from(self, told: Source) -> Source:
        """Return this data set with what it leaves open taken from what was told of all."""
        return replace(
            self,
            view=self.view.filled_from(told.view),
            format_name=self.format_name or told.format_name,
            columns=self.columns or told.columns,
            prompt=told.prompt if self.prompt is None else self.prompt,
        )


def sources_of(
    data_path: str | Source | Sequence[str | Source], *, image_folder: str | None
) -> tuple[Source, ...]:
    """Return the data sets that some paths mean; a YAML file means those that it lists.

    Args:
        image_folder: of those that name none of their own.

    Raises:
        ArgumentError: a YAML file is no mixture.
    """
    named = [data_path] if isinstance(data_path, (str, Source)) else data_path
    found: list[Source] = []
    for item in named:
        if isinstance(item, Source):
            found.append(item)
        elif item.lower().endswith(MIXTURE_ENDINGS):
            found += read_mixture(Path(item), image_folder=image_folder)
        else:
            found.append(Source(item, image_folder))
    return tuple(found)


def read_mixture(path: Path, *, image_folder: str | None) -> tuple[Source, ...]:
    """Return the data sets of a YAML file; paths in it are relative to its folder.

    Raises:
        ArgumentError: it cannot be read, or an entry is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ArgumentError(f"{path}: cannot be read as a mixture ({error})") from error
    entries = content.get("datasets") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ArgumentError(
            f"{path}: is no mixture; it must hold a list under 'datasets', each with a 'path'"
        )
    unknown = [key for key in content if key != "datasets"]
    if unknown:
        raise ArgumentError(f"{path}: unknown key {unknown[0]!r} beside 'datasets'; remove it")
    return tuple(
        _entry(entry, f"{path}, data set {number}", path.parent, image_folder)
        for number, entry in enumerate(entries, start=1)
    )


def _entry(entry: object, name: str, folder: Path, image_folder: str | None) -> Source:
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        raise ArgumentError(f"{name}: must be an object with a 'path'; it is {entry!r:.80}")
    known = (*_OWN_KEYS, *_VIEW_OF_FLAG)
    for key in entry:
        if key not in known:
            raise ArgumentError(
                f"{name}: unknown key {key!r}.{did_you_mean(str(key), known)} Known: "
                f"{', '.join(known)}."
            )
    own_folder = entry.get("image_folder")
    columns = entry.get("map") or {}
    if not isinstance(columns, dict):
        raise ArgumentError(f"{name}: 'map' must be an object such as {{video: path}}")
    try:
        return Source(
            path=os.path.join(folder, entry["path"]),
            image_folder=image_folder if own_folder is None else os.path.join(folder, own_folder),
            weight=entry.get("weight", 1.0),
            view=_view(entry),
            format_name=entry.get("format"),
            columns=tuple((str(key), str(value)) for key, value in columns.items()),
            prompt=entry.get("prompt"),
        )
    except (ArgumentError, TypeError) as error:
        raise ArgumentError(f"{name}: {error}") from error


def _view(entry: Mapping[str, Any]) -> View:
    named = {field: entry[flag] for flag, field in _VIEW_OF_FLAG.items() if flag in entry}
    return View(**named)


def names_of(sources: Iterable[Source]) -> str:
    """Return the paths of some data sets, for messages."""
    return ", ".join(source.path for source in sources)
