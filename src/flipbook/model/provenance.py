"""Where does a tuned model come from?

    base, data, recipe  ->  Provenance  ->  provenance.json in the model's folder  ->  Provenance

It names files without their folders and by their hashes, so that it can be shown to anyone. A model
keeps it through every later save. To add a fact: one field here, and its line where training fills
it in.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from flipbook.errors import CheckpointError, did_you_mean
from flipbook.model.folders import write_json

PROVENANCE_FILE = "provenance.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How a model was tuned, and from what.

    Attributes:
        base: hub id of the model that was tuned, or the name of its folder.
        base_layout: `model_type` in the base's config.json.
        trained: how many weights trained, by part; with LoRA, those of the adapters.
        lora: `rank`, `alpha` and `dropout` of the adapters; None where there were none.
        data: one entry for each file of records: `file`, `sha256`, `num_records`, `split`.
        recipe: steps, epochs, effective batch, learning rates by part, schedule, seed, precision.
        versions: of the packages that trained.
    """

    base: str
    base_layout: str
    trained: dict[str, int]
    lora: dict[str, float] | None
    data: list[dict[str, Any]]
    recipe: dict[str, Any]
    versions: dict[str, str]

    def save(self, folder: str | Path) -> Path:
        """Path of the `provenance.json` written into `folder`."""
        path = Path(folder) / PROVENANCE_FILE
        content = {"format": FORMAT_VERSION, **asdict(self)}
        write_json(path, content)
        return path

    @classmethod
    def load(cls, folder: str | Path) -> Provenance | None:
        """Provenance saved in `folder`, or None when it holds no `provenance.json`.

        Raises:
            CheckpointError: the file cannot be read, lacks a field, or has one that is unknown or
                of another kind.
        """
        path = Path(folder) / PROVENANCE_FILE
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{path}: cannot be read as JSON ({error}). Copy it again, or delete the file: "
                "the model works without it."
            ) from error
        fault = _fault_in(content)
        if fault:
            raise CheckpointError(
                f"{path}: {fault} Copy it again, or delete the file: the model works without it."
            )
        return cls(**{field.name: content[field.name] for field in fields(cls)})


_KINDS: dict[str, tuple[type, ...]] = {
    "base": (str,),
    "base_layout": (str,),
    "trained": (dict,),
    "lora": (dict, type(None)),
    "data": (list,),
    "recipe": (dict,),
    "versions": (dict,),
}


def _fault_in(content: object) -> str:
    """Return what is wrong with the content of a file; empty when nothing is."""
    if not isinstance(content, dict):
        return "holds no JSON object."
    if content.get("format") != FORMAT_VERSION:
        return f'"format" is {content.get("format")!r}, and this flipbook reads {FORMAT_VERSION}.'
    for name in content:
        if name != "format" and name not in _KINDS:
            return f"unknown field {name!r}.{did_you_mean(name, _KINDS)}"
    for name, kinds in _KINDS.items():
        if name not in content:
            return f"the field {name!r} is missing."
        if not isinstance(content[name], kinds):
            return f"the field {name!r} is {content[name]!r}, of another kind than expected."
    if not all(isinstance(entry, dict) for entry in content["data"]):
        return "the field 'data' holds something else than objects."
    return ""
