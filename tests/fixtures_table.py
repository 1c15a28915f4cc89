"""Which rows do the tests of tables ask about, and what are they encoded with?

row("one", "<video>\\nWhat?", "That.", video="a.mp4")  ->  a row of a manifest
encoder(num_frames=3)                                   ->  a ConversationEncoder at 128 px
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fixtures_model import make_tokenizer
from flipbook.data.encoder import ConversationEncoder
from flipbook.video.settings import ClipSettings


def say(*turns: str) -> list[dict[str, str]]:
    """Return LLaVA turns, the user's first."""
    return [
        {"from": "gpt" if number % 2 else "human", "value": text}
        for number, text in enumerate(turns)
    ]


def row(row_id: Any, *turns: str, **media: Any) -> dict[str, Any]:
    return {"id": row_id, **media, "conversations": say(*turns)}


def encoder(max_length: int | None = None, **settings: Any) -> ConversationEncoder:
    return ConversationEncoder(
        make_tokenizer(),
        ClipSettings(**({"frame_size": 128, "num_frames": 2} | settings)),
        max_length,
    )


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text(json.dumps(rows), "utf-8")
    return str(path)


MIXED = [
    row("one", "<video>\nWhat moves?", "A ball.", video="a.mp4"),
    row("two", "<video>\nHow many?", "Two.", "Sure?", "Yes.", video="a.mp4"),
    row("late", "Hello.", "Hi.", "<video>\nWhat moves?", "A ball.", video="a.mp4"),
    row("other", "<video>\nWhat moves?", "A car.", video="b.mov"),
    row("text", "What is it?", "A word: Übung 猫."),
    row("text again", "What is it?", "A word."),
    row("both", "<image>\n<image>\nWhich?", "That.", image=["c.png", "a.mp4"]),
    row("turned", "<image>\n<image>\nWhich?", "That.", image=["a.mp4", "c.png"]),
    {
        "id": "several",
        "task": "count",
        "video": "a.mp4",
        "conversations": [say("<video>\nWhy?", "So."), say("<video>\nWho?", "He.")],
    },
]
