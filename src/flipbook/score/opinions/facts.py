"""Which model gave an opinion, told so that it can be known again?

folder of a model  ->  sha256 of all files that decide what it says
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_DECIDING = (".json", ".jinja", ".model", ".safetensors", ".txt")


def folder_sha256(folder: Path) -> str:
    """Return the sha256 over names, sizes and content hashes of configuration, words and weights.

    Folders in it count, too; hidden ones and other files, such as a README, do not.
    """
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in name.parts)
        if is_hidden or path.suffix not in _DECIDING or not path.is_file():
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{name.as_posix()} {path.stat().st_size} {content}\n".encode())
    return whole.hexdigest()
