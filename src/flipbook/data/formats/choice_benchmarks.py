"""What do the multiple-choice benchmarks with forms of their own ask?

    NExT-QA    CSV: video, question, answer (0 to 4), qid, type, a0 .. a4
    EgoSchema  JSON: q_uid, question, "option 0" .. "option 4"; answers in subset_answers.json
    STAR       JSON: question_id, video_id, start, end, question, choices, answer

Each becomes rows of our own by `choices.choice_row`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flipbook.data.formats.asked import (
    Made,
    Row,
    Rows,
    find_first,
    object_beside,
    read_each,
    row_id,
    split_in,
    stretch_in,
    text_in,
)
from flipbook.data.formats.choices import choice_row, options_in, right_option
from flipbook.data.formats.containers import read_object
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.origin import Head, Origin
from flipbook.errors import RecordError

_NEXTQA_OPTIONS = ("a0", "a1", "a2", "a3", "a4")
_NEXTQA_FOLDERS = "map_vid_vidorID.json"  # {"4010069381": "1164/4010069381"}
_EGOSCHEMA_OPTIONS = ("option 0", "option 1", "option 2", "option 3", "option 4")
_EGOSCHEMA_ANSWERS = "subset_answers.json"  # {q_uid: 3}
_EGOSCHEMA_SOURCES = "uid_to_ego4d.json"  # {q_uid: {"video_uid": ...}}


def is_nextqa(head: Head) -> bool:
    """Return whether rows are those of NExT-QA."""
    return head.keys >= {"video", "question", "qid", *_NEXTQA_OPTIONS}


def read_nextqa(origin: Origin) -> Rows:
    """Yield the questions of NExT-QA; map_vid_vidorID.json beside the file tells its folders."""
    names = MediaNames(origin.media_folder)
    folders = object_beside(origin.path, [_NEXTQA_FOLDERS])

    def make(row: Row, name: str) -> Made:
        video = text_in(row, "video", name)
        record_id = row_id(f"{video}_{row.get('qid')}", name)
        options = [text_in(row, key, record_id) for key in _NEXTQA_OPTIONS]
        mapped = folders.get(video)
        wanted = [f"{mapped}.mp4" if isinstance(mapped, str) else None, video]
        yield choice_row(
            record_id,
            clip={"path": find_first(names, wanted, record_id=record_id)},
            question=text_in(row, "question", record_id),
            options=options,
            right=_place_in(row, "answer", len(options), record_id),
            task=f"nextqa_{row['type']}" if row.get("type") else "nextqa",
            group=video,
            split=split_in(row, origin.path),
        )

    return read_each(origin, make)


def is_egoschema(head: Head) -> bool:
    """Return whether rows are those of EgoSchema."""
    return head.keys >= {"q_uid", "question", *_EGOSCHEMA_OPTIONS}


def read_egoschema(origin: Origin) -> Rows:
    """Yield the questions of EgoSchema whose answers are known.

    These stand in the second file, in subset_answers.json beside the first, or in the rows.
    """
    names = MediaNames(origin.media_folder)
    answers = (
        read_object(origin.answers)
        if origin.answers is not None
        else object_beside(origin.path, [_EGOSCHEMA_ANSWERS])
    )
    sources = object_beside(origin.path, [_EGOSCHEMA_SOURCES])

    def make(row: Row, name: str) -> Made:
        uid = text_in(row, "q_uid", name)
        record_id = row_id(uid, name)
        answer = answers.get(uid, row.get("answer"))
        if answer is None:
            raise RecordError(
                record_id,
                f"has no answer: {_EGOSCHEMA_ANSWERS} has those of 500 questions; name another "
                "file of them with --answers, or leave this question out",
            )
        options = [text_in(row, key, record_id) for key in _EGOSCHEMA_OPTIONS]
        source = sources.get(uid)
        yield choice_row(
            record_id,
            clip={"path": names.find(uid, record_id=record_id)},
            question=text_in(row, "question", record_id),
            options=options,
            right=_place_in({"answer": answer}, "answer", len(options), record_id),
            task="egoschema",
            group=source.get("video_uid", uid) if isinstance(source, dict) else uid,
            split=split_in(row, origin.path),
        )

    return read_each(origin, make)


def is_star(head: Head) -> bool:
    """Return whether rows are those of STAR."""
    return head.keys >= {"question_id", "video_id", "question", "choices", "start", "end"}


def read_star(origin: Origin) -> Rows:
    """Yield the questions of STAR, each about a stretch of a clip of Charades.

    The task is the first word of the question's id: Interaction_T1_4.
    """
    names = MediaNames(origin.media_folder)

    def make(row: Row, name: str) -> Made:
        record_id = row_id(row.get("question_id"), name)
        video = text_in(row, "video_id", record_id)
        texts = {"choices": [_choice_text(item) for item in _list_in(row, "choices", record_id)]}
        options = options_in(texts, "choices", record_id)
        path = names.find(video, record_id=record_id)
        yield choice_row(
            record_id,
            clip={"path": path} | stretch_in(row, ("start", "end"), record_id),
            question=text_in(row, "question", record_id),
            options=options,
            right=right_option(text_in(row, "answer", record_id), options, record_id),
            task=f"star_{record_id.split('_')[0]}",
            group=video,
            split=split_in(row, origin.path),
        )

    return read_each(origin, make)


def _choice_text(item: object) -> object:
    return item.get("choice") if isinstance(item, dict) else item


def _list_in(row: Mapping[str, Any], key: str, record_id: str) -> list[Any]:
    value = row.get(key)
    if isinstance(value, list):
        return value
    raise RecordError(record_id, f"{key!r} is {type(value).__name__}; it must be a list")


def _place_in(row: Mapping[str, Any], key: str, num_options: int, record_id: str) -> int:
    """Return the place of the right option, from 0, which CSV writes as text."""
    text = text_in(row, key, record_id)
    if text.isdecimal() and text.isascii() and int(text) < num_options:
        return int(text)
    raise RecordError(
        record_id, f"{key!r} is {text!r}; it must be a number from 0 to {num_options - 1}"
    )
