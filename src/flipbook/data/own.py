"""How is a record written in the form that all formats become?

    Record -> row: {"id": ..., "messages": [...], "group": ..., ...}

User turns are typed parts, so that nothing a user typed is taken for a placeholder. Read by
`readers.read_row`, a row gives the record again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flipbook.data.extras import CLIP_KEY
from flipbook.data.records import Record
from flipbook.data.turns import Media, Turn
from flipbook.video.view import OVERRIDES, View


def row_of(record: Record, *, folder: str | Path) -> dict[str, Any]:
    """Return a record as a row, with paths relative to `folder` where they are in it."""
    start = os.path.abspath(folder)
    written = [
        [_message(turn, start) for turn in conversation] for conversation in record.conversations
    ]
    row: dict[str, Any] = {
        "id": record.id,
        "messages": written[0] if len(written) == 1 else written,
        **record.extras.as_dict(),
    }
    clip = _shared_overrides(record.media)
    return row | ({CLIP_KEY: clip} if clip else {})


def _message(turn: Turn, start: str) -> dict[str, Any]:
    if turn.role != "user":
        return {"role": turn.role, "content": turn.text}
    return {"role": turn.role, "content": [_part(part, start) for part in turn.parts]}


def _part(part: str | Media, start: str) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    own = {n: value for n, value in part.view.as_dict().items() if n not in OVERRIDES}
    if part.frames:
        return {"type": part.kind, "frames": [_short(path, start) for path in part.frames], **own}
    return {"type": part.kind, "path": _short(part.path, start), **own}


def _shared_overrides(media: Sequence[Media]) -> dict[str, Any]:
    """Return how the clips of a record are read: the same for all of them."""
    views: list[View] = [item.view for item in media]
    found = views[0].as_dict() if views else {}
    return {name: value for name, value in found.items() if name in OVERRIDES}


def _short(path: str, start: str) -> str:
    relative = os.path.relpath(path, start)
    return path if relative.startswith(os.pardir) else relative.replace(os.sep, "/")
