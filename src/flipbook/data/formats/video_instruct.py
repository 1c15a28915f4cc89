"""How do questions become rows that name their video by an id?

    VideoInstruct-100K  {"q": "Why?", "a": "Rain.", "video_id": "v_k_ZXmr8pmrs"}
    VideoChat2-IT       {"video": "a.mp4", "QA": [{"i": "Answer.", "q": "Why?", "a": "Rain."}]}
    VCGBench            {"Q": "Why?", "A": "Rain.", "video_name": "v_p1QGn0IzfW0"}

    -> a row for each question, of the file that has the name (see `media_names`)

All questions about one video are one group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flipbook.data.formats.asked import Rows, is_blank, question_row, stretch_in, text_in
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.turns_of import own_rows
from flipbook.data.parts import shown
from flipbook.errors import RecordError

_VIDEO_KEYS = ("video_id", "video_name", "video")
_WORDS = (("q", "a"), ("Q", "A"), ("question", "answer"))
_QUESTIONS = "QA"


def is_video_instruct(head: Head) -> bool:
    """Return whether rows name a video and hold a question and answer, or a list of them."""
    if not set(_VIDEO_KEYS) & head.keys:
        return False
    if _QUESTIONS in head.keys:
        return True
    if {"question", "answer", "video_name"} <= head.keys:
        return True
    return any({question, answer} <= head.keys for question, answer in _WORDS[:2])


def read_video_instruct(origin: Origin) -> Rows:
    """Yield a row for each question.

    Raises:
        ManifestError: the file cannot be read.
    """
    names = MediaNames(origin.media_folder)
    return own_rows(origin, lambda row, record_id: _rows(row, record_id, names))


def _rows(row: Mapping[str, Any], record_id: str, names: MediaNames) -> Iterator[dict[str, Any]]:
    key = next((key for key in _VIDEO_KEYS if row.get(key) is not None), _VIDEO_KEYS[0])
    name = text_in(row, key, record_id)
    clip = {
        "path": names.find(name, record_id=record_id),
        **stretch_in(row, ("start", "end"), record_id),
    }
    for number, asked in enumerate(_questions(row, record_id), start=1):
        own_id = record_id if _QUESTIONS not in row else f"{record_id}-{number}"
        question, answer = _words(asked, own_id)
        yield question_row(
            own_id, clip=clip, question=question, reply=answer, kind="open", group=name
        )


def _questions(row: Mapping[str, Any], record_id: str) -> list[Mapping[str, Any]]:
    if _QUESTIONS not in row:
        return [row]
    listed = row[_QUESTIONS]
    if isinstance(listed, list) and listed and all(isinstance(item, dict) for item in listed):
        return listed
    raise RecordError(
        record_id, f"{_QUESTIONS!r} is {shown(listed)}; it must be a list of questions and answers"
    )


def _words(asked: Mapping[str, Any], record_id: str) -> tuple[str, str]:
    """Return question and answer; what stands under `i` tells how to answer and comes first."""
    keys = next((pair for pair in _WORDS if set(pair) <= asked.keys()), _WORDS[0])
    given = [key for key in ("i", keys[0]) if not is_blank(asked.get(key))]
    question = "\n".join(text_in(asked, key, record_id) for key in given or keys[:1])
    return question, text_in(asked, keys[1], record_id)
