"""How does a file of a report come to be there whole, or not at all?

text, bytes or plain values  ->  the file, under its name when all of it is on the disk
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under another name, make it last, and give it its name in one step.

    Raises:
        OSError: it cannot be written; what was there before still is.
    """
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        Path(staged).chmod(0o644)
        Path(staged).replace(path)
    except OSError:
        Path(staged).unlink(missing_ok=True)
        raise


def write_json_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain values as JSON, whole or not at all.

    Raises:
        OSError: as `write_whole`.
        ValueError: a number is not finite, which JSON does not know.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + "\n")
