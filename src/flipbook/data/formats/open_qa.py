"""Which questions of these benchmarks are answered in a few free words?

    MSRVTT-QA       JSON: video_id 7010 (of video7010.mp4), question, answer, category_id, id
    MSVD-QA         JSON: video_id 1701 (of vid1701.avi), question, answer, id
    ActivityNet-QA  val_q.json: video_name, question, question_id
                    val_a.json: question_id, answer, type

MSVD's own files are called by where they were found; youtube_mapping.txt says which is which.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from flipbook.data.formats.asked import (
    Made,
    Row,
    Rows,
    find_first,
    listed,
    question_row,
    read_each,
    row_id,
    split_in,
    text_in,
)
from flipbook.data.formats.containers import rows_of
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.media_folders import found_in
from flipbook.data.parts import shown
from flipbook.errors import ManifestError, RecordError

_MSVD_NAMES = "youtube_mapping.txt"  # "mv89psg6zh4_33_46 vid1", a line for each file
_CUT_FROM_TO = re.compile(r"_\d+_\d+$")
_QUESTIONS, _ANSWERS = re.compile(r"_q$"), re.compile(r"_a$")
_ACTIVITYNET_TYPES = (
    "motion",
    "spatial",
    "temporal",
    "yes_no",
    "color",
    "object",
    "location",
    "number",
    "other",
)


def is_msrvtt_qa(head: Head) -> bool:
    """Return whether rows are those of MSRVTT-QA."""
    return _is_msr(head) and "category_id" in head.keys


def read_msrvtt_qa(origin: Origin) -> Rows:
    """Yield the questions of MSRVTT-QA; those of one clip form a group."""
    names = MediaNames(origin.media_folder)

    def place(video_id: str, record_id: str) -> tuple[str, str]:
        video = video_id if video_id.startswith("video") else f"video{video_id}"
        return names.find(video, record_id=record_id), video

    return _read_msr(origin, "msrvtt_qa", place)


def is_msvd_qa(head: Head) -> bool:
    """Return whether rows are those of MSVD-QA."""
    is_numbered = all(str(row.get("video_id")).removeprefix("vid").isdecimal() for row in head.rows)
    return _is_msr(head) and is_numbered and "category_id" not in head.any_keys


def read_msvd_qa(origin: Origin) -> Rows:
    """Yield the questions of MSVD-QA; those of one source film form a group, where it is known."""
    names = MediaNames(origin.media_folder)
    found_as = _msvd_names(origin)

    def place(video_id: str, record_id: str) -> tuple[str, str]:
        video = video_id if video_id.startswith("vid") else f"vid{video_id}"
        path = find_first(names, [video, found_as.get(video)], record_id=record_id)
        return path, _CUT_FROM_TO.sub("", found_as.get(video, video))

    return _read_msr(origin, "msvd_qa", place)


def is_activitynet_qa(head: Head) -> bool:
    """Return whether rows are the questions, or the answers, of ActivityNet-QA."""
    is_questions = head.keys >= {"video_name", "question", "question_id"}
    return is_questions or head.keys == {"answer", "type", "question_id"}


def read_activitynet_qa(origin: Origin) -> Rows:
    """Yield the questions of ActivityNet-QA, each with the answer of its id in the second file.

    Raises:
        ManifestError: the file of answers is missing or cannot be read, or is the one that was
            named in place of the questions.
    """
    if "question" not in origin.head.any_keys:
        questions = origin.path.with_stem(_ANSWERS.sub("_q", origin.path.stem))
        raise ManifestError(
            f"{origin.path}: holds answers; name the file of questions, {questions.name}, and "
            "these are found beside it"
        )
    answers_path = _answers_path(origin)
    answers = listed(rows_of(answers_path), answers_path, key="question_id")
    names = MediaNames(origin.media_folder)

    def make(row: Row, name: str) -> Made:
        record_id = row_id(row.get("question_id"), name)
        video = text_in(row, "video_name", record_id)
        if record_id not in answers:
            raise RecordError(record_id, f"has no answer in {answers_path}; add it")
        answer = answers[record_id]
        path = find_first(names, [f"v_{video}", video], record_id=record_id)
        yield question_row(
            record_id,
            clip={"path": path},
            question=text_in(row, "question", record_id),
            reply=text_in(answer, "answer", record_id),
            kind="open",
            task=f"activitynet_qa_{_type_of(answer, record_id)}",
            group=video.removeprefix("v_"),
            split=split_in(row, origin.path),
        )

    return read_each(origin, make)


def _is_msr(head: Head) -> bool:
    return head.keys >= {"answer", "id", "question", "video_id"}


def _read_msr(origin: Origin, task: str, place: Callable[[str, str], tuple[str, str]]) -> Rows:
    """Yield open questions; `place` tells the path and the group of a video's number."""

    def make(row: Row, name: str) -> Made:
        number = row_id(row.get("id"), name)
        record_id = number if number == name else f"{task}_{number}"
        path, group = place(text_in(row, "video_id", record_id), record_id)
        yield question_row(
            record_id,
            clip={"path": path},
            question=text_in(row, "question", record_id),
            reply=text_in(row, "answer", record_id),
            kind="open",
            task=task,
            group=group,
            split=split_in(row, origin.path),
        )

    return read_each(origin, make)


def _msvd_names(origin: Origin) -> dict[str, str]:
    """Return how files are called that rows call vid1, vid2, ...: {"vid1": "mv89psg6zh4_33_46"}."""
    for folder in (origin.path.parent, origin.media_folder):
        path = folder / _MSVD_NAMES
        if path.is_file():
            lines = [str(line).split() for _, line in rows_of(found_in(path, folder))]
            return {line[1]: line[0] for line in lines if len(line) == 2}
    return {}


def _answers_path(origin: Origin) -> Path:
    if origin.answers is not None:
        return origin.answers
    path = origin.path.with_stem(_QUESTIONS.sub("_a", origin.path.stem))
    if path == origin.path or not path.is_file():
        raise ManifestError(
            f"{origin.path}: holds questions without answers, and no {path.name} with them lies "
            "beside it; name it with --answers"
        )
    return found_in(path, origin.path.parent)


def _type_of(answer: Row, record_id: str) -> str:
    number = answer.get("type")
    if isinstance(number, int) and 0 <= number < len(_ACTIVITYNET_TYPES):
        return _ACTIVITYNET_TYPES[number]
    raise RecordError(
        record_id,
        f"the 'type' of its answer is {shown(number)}; it must be a number from 0 to "
        f"{len(_ACTIVITYNET_TYPES) - 1}",
    )
