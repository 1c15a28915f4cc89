"""Is a checkpoint what was written, to the last byte?

    folder of a checkpoint  ->  manifest.json: step, run, sha256 and size of every file
    folder with manifest.json  ->  Manifest, or a refusal that names the file that differs

The manifest is written last, and its own hash stands in it, so a flipped bit there is found too.
Hashes find damage, not malice: who can write to the folder can write a new manifest, which is why
nothing in a checkpoint is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flipbook.errors import CheckpointError, first_of

MANIFEST_FILE = "manifest.json"
FORMAT_VERSION = 1
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
# What a loader would read if it lay there, so no such file may lie there that is not told.
LOADED = (*PICKLES, ".safetensors", ".index.json")
_SAVE_AGAIN = "Take an older checkpoint, or copy this one again from where it is whole."


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known of the files of a checkpoint.

    Attributes:
        step: after how many steps it was written.
        run_id: of the run that wrote it.
        num_processes: that trained together.
        can_go_on: whether optimizer, schedule and random numbers are in it, too.
        files: size in bytes and sha256 of each, by its path within the folder.
    """

    step: int
    run_id: str
    num_processes: int
    can_go_on: bool
    files: dict[str, dict[str, int | str]] = field(repr=False)

    @property
    def num_bytes(self) -> int:
        """Of all files together."""
        return sum(int(facts["bytes"]) for facts in self.files.values())


def write_manifest(
    folder: Path, *, step: int, run_id: str, num_processes: int, can_go_on: bool
) -> Manifest:
    """Return the manifest of a folder that is complete, after writing it there.

    Raises:
        OSError: a file cannot be read, or the manifest not be written.
    """
    files: dict[str, dict[str, int | str]] = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": _sha256(folder / name)}
        for name in _names(folder)
    }
    manifest = Manifest(
        step=step,
        run_id=run_id,
        num_processes=num_processes,
        can_go_on=can_go_on,
        files=files,
    )
    content = {"format": FORMAT_VERSION, **asdict(manifest)}
    (folder / MANIFEST_FILE).write_bytes(_rendered(content))
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a folder, whose files are not looked at.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        told = _pickles_told(_top_names(folder))
        raise CheckpointError(
            f"{folder}: holds no {MANIFEST_FILE}, so nothing tells whether it is whole: it was "
            f"written by another program, or not to its end.{told} {_SAVE_AGAIN}"
        )
    try:
        found = path.read_bytes()
        content = json.loads(found)
        del content["sha256"]
        is_sound = found == _rendered(content) and content.pop("format") == FORMAT_VERSION
        manifest = Manifest(**content) if is_sound else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}). {_SAVE_AGAIN}") from error
    if manifest is None:
        raise CheckpointError(f"{path}: is damaged, or of another version. {_SAVE_AGAIN}")
    return manifest


def verify(folder: Path) -> Manifest:
    """Return the manifest of a folder, after reading every byte of it.

    Raises:
        CheckpointError: a file is missing, differs, or lies there without being told.
    """
    manifest = read_manifest(folder)
    verify_sizes(folder, manifest)
    for name, facts in manifest.files.items():
        try:
            found = _sha256(folder / name)
        except OSError as error:
            raise CheckpointError(
                f"{folder}: {name} cannot be read ({error.strerror}). {_SAVE_AGAIN}"
            ) from error
        if found != facts["sha256"]:
            raise CheckpointError(
                f"{folder}: {name} is not what was written (its sha256 differs). {_SAVE_AGAIN}"
            )
    return manifest


def verify_sizes(folder: Path, manifest: Manifest) -> None:
    """Check what is known without reading the files: that they are there, and how large.

    Raises:
        CheckpointError: see `verify`.
    """
    for name, facts in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{folder}: {name} is missing. {_SAVE_AGAIN}")
        size = path.stat().st_size
        if size != facts["bytes"]:
            raise CheckpointError(
                f"{folder}: {name} has {size:,} bytes instead of {facts['bytes']:,}. {_SAVE_AGAIN}"
            )
    added = [n for n in _names(folder) if n not in manifest.files and n.endswith(LOADED)]
    if added:
        raise CheckpointError(
            f"{folder}: {first_of(added)} was put there after the checkpoint was written. Remove "
            "it, or take another checkpoint."
        )


def refuse_pickles(folder: Path) -> None:
    """Check that a folder holds no file that can be read by unpickling only.

    Raises:
        CheckpointError: it does.
    """
    told = _pickles_told(_names(folder))
    if told:
        raise CheckpointError(
            f"{folder}:{told} Begin a new run from its weights in safetensors, or take another "
            "checkpoint."
        )


def _pickles_told(names: list[str]) -> str:
    found = [name for name in names if name.endswith(PICKLES)]
    if not found:
        return ""
    return (
        f" It holds pickled files ({first_of(found)}); unpickling can run any code, so flipbook "
        "never does."
    )


def _top_names(folder: Path) -> list[str]:
    """Return the files that lie in a folder itself, which may be any, with millions below it."""
    _, _, names = next(os.walk(folder), ("", [], []))
    return sorted(names)


def _names(folder: Path) -> list[str]:
    """Return all files under a folder but its manifest, as paths with slashes."""
    found = []
    for place, _, names in os.walk(folder):
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in names]
    return sorted(name for name in found if name != MANIFEST_FILE)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rendered(content: dict[str, Any]) -> bytes:
    """Return a manifest as it is written: to the last blank, with the hash of all the rest."""
    own = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return (json.dumps(content | {"sha256": own}, indent=2) + "\n").encode()
