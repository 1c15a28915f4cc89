"""What does a fitness coach say to each clip of QEVD?

    fine_grained_labels.json    {"video_path": "./00000000.mp4", "split": "train",
                                 "labels": ["elbow plank - stopping early"],
                                 "labels_descriptive": ["elbow plank - User stopped ..."]}
    feedbacks_short_clips.json  {"video_path": ..., "split": ..., "feedback": ["Keep it up!", ...]}
    questions.json              {"video_path": ..., "split": ..., "high_level": {"query": [...],
                                 "response": [...], "query_type": [...]}, "fine_grain": {...}}

Files are found by name, wherever they lie below the media folder. All descriptions of a clip are
one answer, a line each; of several feedbacks each is an answer of its own, as captions are. The
person seen is the group where fine_grained_labels_with_worker_ids.json lies beside; otherwise the
clip is. Source: "Live Fitness Coaching as a Testbed for Situated Interaction", arXiv 2407.08101.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from flipbook.data.formats.asked import (
    Made,
    Row,
    Rows,
    is_blank,
    made_or_error,
    question_row,
    read_each,
    row_id,
    split_in,
    text_in,
    texts_in,
    word,
)
from flipbook.data.formats.captions import reference_rows
from flipbook.data.formats.containers import rows_of
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.prompts import FEEDBACK_PROMPT
from flipbook.data.media_folders import found_in
from flipbook.errors import RecordError

_FEEDBACK_KEYS = ("feedback", "feedbacks")
_SECTIONS = ("high_level", "fine_grain")
_KNOWN_BY = {"labels_descriptive", *_FEEDBACK_KEYS, *_SECTIONS}
_PERSONS = "fine_grained_labels_with_worker_ids.json"  # {"video_path": ..., "worker_id": 1750}


class _Clip(NamedTuple):
    """What a row says of its clip. `stem` is the name of its file without ending."""

    path: str
    stem: str
    group: str
    split: str | None


def is_qevd(head: Head) -> bool:
    """Return whether rows are labels, feedbacks or questions of QEVD."""
    return not head.is_object and "video_path" in head.keys and bool(head.any_keys & _KNOWN_BY)


def read_qevd(origin: Origin) -> Rows:
    """Yield what is said about the clips of QEVD; which of its files it is, each row tells."""
    names = MediaNames(origin.media_folder)
    persons = _persons(origin.path.parent / _PERSONS)
    prompt = origin.prompt or FEEDBACK_PROMPT

    def make(row: Row, name: str) -> Made:
        video = text_in(row, "video_path", name)
        stem = row_id(Path(video).stem, name)
        person = persons.get(stem, row.get("worker_id"))
        group = stem if is_blank(person) else f"person_{person}"
        path = names.find(video, record_id=stem)
        clip = _Clip(path, stem, group, split_in(row, origin.path))
        if any(key in row for key in _SECTIONS):
            return _question_rows(row, clip)
        return _feedback_rows(row, clip, prompt)

    return read_each(origin, make)


def _feedback_rows(row: Row, clip: _Clip, prompt: str) -> Made:
    key = next((key for key in _FEEDBACK_KEYS if key in row), None)
    if key is None:
        key = "labels_descriptive" if row.get("labels_descriptive") else "labels"
        texts = ["\n".join(texts_in(row, key, clip.stem))]
    else:
        texts = texts_in(row, key, clip.stem)
    return reference_rows(
        clip.stem,
        texts,
        split=clip.split,
        clip={"path": clip.path},
        question=prompt,
        kind="feedback",
        task="qevd_feedback" if key in _FEEDBACK_KEYS else "qevd_labels",
        group=clip.group,
    )


def _question_rows(row: Row, clip: _Clip) -> Made:
    for section in _SECTIONS:
        if not is_blank(row.get(section)):
            yield from made_or_error(_section_rows, row[section], section, clip)


def _section_rows(content: object, section: str, clip: _Clip) -> Made:
    values: Any = content if isinstance(content, dict) else {}
    queries, responses = values.get("query"), values.get("response")
    name = f"{clip.stem}_{section}"
    if not isinstance(queries, list) or not isinstance(responses, list):
        raise RecordError(name, "has no lists of 'query' and 'response'; add them")
    if len(queries) != len(responses):
        raise RecordError(
            name, f"has {len(queries)} queries and {len(responses)} responses; mend it"
        )
    for place, (query, response) in enumerate(zip(queries, responses, strict=True)):
        yield from made_or_error(_asked, query, response, section, clip, f"{name}_{place}")


def _asked(query: object, response: object, section: str, clip: _Clip, name: str) -> Made:
    yield question_row(
        name,
        clip={"path": clip.path},
        question=word(query, "query", name),
        reply=word(response, "response", name),
        kind="open",
        task=f"qevd_{section}",
        group=clip.group,
        split=clip.split,
    )


def _persons(path: Path) -> dict[str, object]:
    """Return the person in each clip, by the name of its file; empty where nobody says."""
    if not path.is_file():
        return {}
    rows = [row for _, row in rows_of(found_in(path, path.parent)) if isinstance(row, dict)]
    return {Path(str(row.get("video_path"))).stem: row.get("worker_id") for row in rows}
