"""What does a record look like to a person?

Record ->   squat-001 (feedback)
              video      clips/a.mp4, 3 s to 9.5 s
              user       What should I improve?
              assistant  Keep your knees behind your toes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from flipbook.data.records import Record
from flipbook.data.turns import Media, Turn
from flipbook.video.view import View

_MOST_CHARACTERS = 300  # of one side's words
_MOST_TURNS = 6


def sample_text(record: Record, *, folder: Path) -> str:
    """Return a record in a few lines: media, words, answer.

    Args:
        folder: paths in it are shown without it.
    """
    about = [word for word in (record.extras.kind, record.extras.task) if word]
    lines = [record.id + (f" ({', '.join(about)})" if about else "")]
    turns = record.conversations[0]
    lines += _lines_of(turns[:_MOST_TURNS], os.path.abspath(folder))
    if len(turns) > _MOST_TURNS:
        lines.append(f"  ... and {len(turns) - _MOST_TURNS} turns more")
    if len(record.conversations) > 1:
        lines.append(f"  ... and {len(record.conversations) - 1} conversations more")
    if record.extras.answer is not None and record.extras.answer != turns[-1].text:
        lines.append(f"  {'right is':<10} {_short(record.extras.answer)}")
    return "\n".join(lines)


def _lines_of(turns: tuple[Turn, ...], folder: str) -> Iterator[str]:
    """Yield a line for each part of each turn."""
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, Media):
                yield f"  {part.kind:<10} {_path(part, folder)}{_seen(part.view)}"
            elif part.strip():
                words = _short(part).replace("\n", f"\n  {'':<10} ")
                yield f"  {turn.role:<10} {words}"


def _path(media: Media, folder: str) -> str:
    short = os.path.relpath(media.path, folder)
    path = media.path if short.startswith(os.pardir) else short
    path = "".join(map(printable, path))
    return f"{path}, {len(media.frames)} pictures" if media.frames else path


def _seen(view: View) -> str:
    values = view.as_dict()
    start_s, end_s = values.pop("start_s", None), values.pop("end_s", None)
    said = []
    if start_s is not None or end_s is not None:
        end = "the end" if end_s is None else f"{end_s:g} s"
        said.append(f"{start_s or 0:g} s to {end}")
    said += [f"{name} {value}" for name, value in values.items()]
    return "".join(f", {word}" for word in said)


def printable(letter: str) -> str:
    """Return a letter as a terminal may get it; a control code would change how all else looks."""
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def _short(text: str) -> str:
    text = "".join(letter if letter == "\n" else printable(letter) for letter in text.strip())
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS].rstrip()}... ({len(text)} characters)"
