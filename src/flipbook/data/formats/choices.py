"""Which option of a multiple-choice question is right, and how is it asked?

    {"video": "a.mp4", "question": "What moves?", "options": ["a cat", "a dog"], "answer": "B"}
      ->  "What moves?\\nA. a cat\\nB. a dog\\n..."   ->  "B", and "a dog" is right

Reads rows of this kind with the names of keys that several benchmarks have (Video-MME,
LongVideoBench, MLVU and others), and the files of MVBench, one for each task. What the readers of
other benchmarks need of it is public (`choice_benchmarks`).
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flipbook.data.formats.asked import (
    Made,
    OwnRow,
    Row,
    Rows,
    find_first,
    is_blank,
    question_row,
    read_each,
    row_id,
    split_in,
    stretch_in,
    text_in,
    word,
)
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.prompts import choice_question, letter_of
from flipbook.data.parts import shown
from flipbook.errors import RecordError
from flipbook.video.decode import is_video_file

VIDEO_KEYS = ("video", "video_path", "video_file", "video_name", "videoID", "video_id", "vid")
OPTION_KEYS = ("options", "choices", "candidates")
_ANSWER_KEYS = ("answer", "correct_answer", "correct_choice", "answer_id", "answer_idx")
_ID_KEYS = ("id", "question_id", "qid", "q_uid", "uid")
_TASK_KEYS = ("task", "task_type", "question_type", "question_category")
_STRETCHES = (("start_s", "end_s"), ("start", "end"))
_MVBENCH_KEYS = frozenset({"video", "question", "candidates", "answer"})
_LETTER = re.compile(r"\(?([A-Za-z])\)?[.:]?")


def is_mvbench(head: Head) -> bool:
    """Return whether rows are those of a task of MVBench."""
    return head.keys >= _MVBENCH_KEYS


def read_mvbench(origin: Origin) -> Rows:
    """Yield the questions of one task of MVBench; the file's name is the task.

    `start` and `end` are seconds. A clip whose name ends like no video is a folder of pictures, of
    which `fps` are a second. Subtitles, which two tasks have, are not shown.
    """
    names = MediaNames(origin.media_folder)

    def make(row: Row, name: str) -> Made:
        options = options_in(row, "candidates", name)
        answer = text_in(row, "answer", name)
        if answer not in options:
            raise RecordError(name, f"'answer' is {answer!r}, which is none of {shown(options)}")
        yield choice_row(
            name,
            clip=_mvbench_clip(row, names, origin, name) | stretch_in(row, ("start", "end"), name),
            question=text_in(row, "question", name),
            options=options,
            right=options.index(answer),
            task=origin.path.stem,
            group=Path(text_in(row, "video", name)).stem,
            split=split_in(row, origin.path),
        )

    return read_each(origin, make)


def is_choices(head: Head) -> bool:
    """Return whether rows hold a video, a question and its options, in no benchmark's own form."""
    keys = head.keys
    has_all = "question" in keys and keys & set(VIDEO_KEYS) and keys & set(OPTION_KEYS)
    return bool(has_all) and not is_mvbench(head) and not _holds_objects(head)


def read_choices(origin: Origin) -> Rows:
    """Yield multiple-choice questions; the answer is a letter, a place from 0, or a text."""
    names = MediaNames(origin.media_folder)

    def make(row: Row, name: str) -> Made:
        record_id = row_id(_first(row, _ID_KEYS), name)
        key = next((key for key in OPTION_KEYS if row.get(key) is not None), OPTION_KEYS[0])
        options = options_in(row, key, record_id)
        path = find_first(names, [row.get(key) for key in VIDEO_KEYS], record_id=record_id)
        stretch = next((pair for pair in _STRETCHES if any(key in row for key in pair)), None)
        yield choice_row(
            record_id,
            clip={"path": path} | (stretch_in(row, stretch, record_id) if stretch else {}),
            question=text_in(row, "question", record_id),
            options=options,
            right=right_option(_first(row, _ANSWER_KEYS), options, record_id),
            task=next((row[key] for key in _TASK_KEYS if not is_blank(row.get(key))), None),
            group=Path(path).stem,
            split=split_in(row, origin.path),
        )

    return read_each(origin, make)


def choice_row(
    record_id: str,
    *,
    clip: Mapping[str, Any],
    question: str,
    options: Sequence[str],
    right: int,
    **extras: Any,
) -> OwnRow:
    """Return the row of a multiple-choice question.

    Args:
        right: the place of the right option, from 0.

    Raises:
        RecordError: there are fewer than two options, more than there are letters, or the right one
            stands there twice, so that nobody can tell which letter is meant.
    """
    if len(options) < 2:
        raise RecordError(record_id, f"has the options {shown(list(options))}; it needs two")
    if list(options).count(options[right]) > 1:
        raise RecordError(
            record_id, f"the right option {options[right]!r} is there twice; remove one of them"
        )
    try:
        prompt = choice_question(question, options)
    except ValueError as error:
        raise RecordError(record_id, f"has {error}; remove some") from error
    return question_row(
        record_id,
        clip=clip,
        question=prompt,
        reply=letter_of(right),
        kind="multiple_choice",
        answer=options[right],
        options=list(options),
        **extras,
    )


def options_in(row: Mapping[str, Any], key: str, record_id: str) -> list[str]:
    """Return the options under a key: a list of texts, or texts by their letters.

    Where every option begins with its own letter ("A. a cat"), the letters are taken off.

    Raises:
        RecordError: there are none, or one of them is blank or no text.
    """
    value = row.get(key)
    values = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(values, list) or not values:
        raise RecordError(record_id, f"{key!r} is {shown(value)}; it must be a list of options")
    texts = [word(item, key, record_id) for item in values]
    bare = [_without_letter(text, place) for place, text in enumerate(texts)]
    return [text for text in bare if text] if all(bare) else texts


def right_option(answer: object, options: Sequence[str], record_id: str) -> int:
    """Return the place of the option that an answer means: its text, its letter, or its place.

    A text that is one of the options is that one, even if it looks like a letter or a place.

    Raises:
        RecordError: there is no answer, it means none of the options, or it is a number that is
            both the place of one and the text of another.
    """
    text = word(answer, "answer", record_id)
    places = {
        place
        for place, option in enumerate(options)
        if text in (option, f"{_letter(place)}. {option}")
    }
    if not isinstance(answer, str) and text.isdigit() and int(text) < len(options):
        places.add(int(text))
    if not places:
        places = _places_named(text, len(options))
    if len(places) == 1:
        return places.pop()
    if places:
        raise RecordError(
            record_id,
            f"'answer' is {shown(answer)}, which may be the place of an option, from 0, or the "
            f"text of another among {shown(list(options))}; write its letter",
        )
    raise RecordError(
        record_id,
        f"'answer' is {shown(answer)}; write the letter, the place from 0, or the text of one of "
        f"{shown(list(options))}",
    )


def _places_named(text: str, num_options: int) -> set[int]:
    letter = _LETTER.fullmatch(text)
    place = ord(letter[1].upper()) - ord("A") if letter else -1
    if text.isdecimal() and text.isascii():
        place = int(text)
    return {place} if 0 <= place < num_options else set()


def _letter(place: int) -> str:
    """Return the letter of an option; nothing for those behind Z, which are refused later."""
    return string.ascii_uppercase[place : place + 1]


def _without_letter(text: str, place: int) -> str | None:
    """Return an option without its own letter before it; None if it has none."""
    begins = re.match(rf"\(?{re.escape(_letter(place))}[.):]\)?\s+", text)
    return text[begins.end() :] if begins and _letter(place) else None


def _first(row: Row, keys: Sequence[str]) -> object:
    return next((row[key] for key in keys if not is_blank(row.get(key))), None)


def _holds_objects(head: Head) -> bool:
    """Return whether options are objects with names of their own, as STAR has them."""
    values = [row.get(key) for row in head.rows for key in OPTION_KEYS]
    return any(
        isinstance(value, list) and any(isinstance(v, dict) for v in value) for value in values
    )


def _mvbench_clip(row: Row, names: MediaNames, origin: Origin, name: str) -> dict[str, Any]:
    video = text_in(row, "video", name)
    if is_video_file(video):
        return {"path": names.find(video, record_id=name)}
    fps = row.get("fps") or origin.frames_fps
    path = names.find_folder(video, record_id=name)
    return {"path": path} | ({} if fps is None else {"frames_fps": fps})
