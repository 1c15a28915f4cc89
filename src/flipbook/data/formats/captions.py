"""Which descriptions of a clip are right, where several people described it?

    MSR-VTT         {"videos": [{"video_id": "video0", "split": "train", ...}, ...],
                     "sentences": [{"video_id": "video0", "caption": "a car is shown", ...}, ...]}
    list of clips   [{"video": "video7020.mp4", "caption": ["a car is shown", ...]}, ...]

What is trained on becomes a row for each caption; in validation and test a clip is one row, with
the first caption as its answer. Either has all captions as references, and the clip as its group.
`url`, `start time` and `end time` of MSR-VTT tell where a clip was cut from, and are not used: its
files are cut already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flipbook.data.formats.asked import (
    Made,
    OwnRow,
    Row,
    Rows,
    find_first,
    made_or_error,
    question_row,
    read_each,
    row_id,
    split_in,
    text_in,
    texts_in,
)
from flipbook.data.formats.containers import read_object
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.prompts import CAPTION_PROMPT
from flipbook.errors import ManifestError, RecordError

_CAPTION_KEYS = ("caption", "captions")
_OTHER_KINDS = {"question", "conversations", "messages", "prompt"}


def is_msrvtt(head: Head) -> bool:
    """Return whether a file is one object of videos and sentences, as MSR-VTT's."""
    return head.is_object and head.keys >= {"videos", "sentences"}


def read_msrvtt(origin: Origin) -> Rows:
    """Yield the captions of MSR-VTT, video by video; sentences about no listed video come last.

    Raises:
        ManifestError: the file cannot be read, or its videos or sentences are no lists.
    """
    content = read_object(origin.path)
    for key in ("videos", "sentences"):
        if not isinstance(content.get(key), list):
            raise ManifestError(f"{origin.path}: {key!r} must be a list of objects; mend it")
    names = MediaNames(origin.media_folder)
    captions, errors = _captions_by_video(content["sentences"], origin.path)
    listed: set[str] = set()

    def make(row: object, name: str) -> Made:
        checked = _object(row, name)
        video = text_in(checked, "video_id", name)
        listed.add(video)
        record_id = row_id(video, name)
        path = names.find(video, record_id=record_id)
        if video not in captions:
            raise RecordError(record_id, "has no sentence; add one or remove the video")
        split = split_in(checked, origin.path)
        return _caption_rows(record_id, path, captions[video], split, origin)

    for number, row in enumerate(content["videos"], start=1):
        yield from made_or_error(make, row, f"{origin.path.name}:videos:{number}")
    for video in captions:
        if video not in listed:
            name = row_id(video, f"{origin.path.name}:sentences")
            yield RecordError(name, "has sentences and is not listed under 'videos'; add it")
    yield from errors


def is_captions(head: Head) -> bool:
    """Return whether rows hold a video and its captions, and ask nothing."""
    keys = head.keys
    has_both = bool(keys & {"video", "video_id"}) and bool(keys & set(_CAPTION_KEYS))
    return has_both and not head.is_object and not head.any_keys & _OTHER_KINDS


def read_captions(origin: Origin) -> Rows:
    """Yield the captions of a list of clips; `caption` is a text or a list of texts."""
    names = MediaNames(origin.media_folder)

    def make(row: Row, name: str) -> Made:
        record_id = row_id(row.get("video_id") or _stem(row.get("video")), name)
        wanted = [row.get("video"), row.get("video_id")]
        path = find_first(names, wanted, record_id=record_id)
        key = next((key for key in _CAPTION_KEYS if row.get(key) is not None), "caption")
        texts = texts_in(row, key, record_id)
        return _caption_rows(record_id, path, texts, split_in(row, origin.path), origin)

    return read_each(origin, make)


def reference_rows(
    record_id: str, texts: Sequence[str], *, split: str | None, **row: Any
) -> Iterator[OwnRow]:
    """Yield the rows of one clip to which several people wrote a text.

    Args:
        row: clip, question, kind and extras, as in `question_row`.
    """
    references = list(dict.fromkeys(texts))
    is_judged = split in ("validation", "test")
    replies = references[:1] if is_judged else texts
    for place, reply in enumerate(replies):
        name = record_id if len(replies) == 1 else f"{record_id}_{place}"
        yield question_row(name, reply=reply, references=references, split=split, **row)


def _caption_rows(
    video: str, path: str, texts: Sequence[str], split: str | None, origin: Origin
) -> Iterator[OwnRow]:
    return reference_rows(
        video,
        texts,
        split=split,
        clip={"path": path},
        question=origin.prompt or CAPTION_PROMPT,
        kind="caption",
        group=video,
    )


def _captions_by_video(
    sentences: Sequence[object], path: Path
) -> tuple[dict[str, list[str]], list[RecordError]]:
    """Return the captions of each video, and why some sentences are none."""
    captions: dict[str, list[str]] = {}
    errors = []
    for number, sentence in enumerate(sentences, start=1):
        name = f"{path.name}:sentences:{number}"
        try:
            checked = _object(sentence, name)
            video = text_in(checked, "video_id", name)
            captions.setdefault(video, []).append(text_in(checked, "caption", name))
        except RecordError as error:
            errors.append(error)
    return captions, errors


def _object(value: object, name: str) -> Row:
    if isinstance(value, dict):
        return value
    raise RecordError(name, f"is {type(value).__name__}; it must be an object with keys")


def _stem(video: object) -> str | None:
    return Path(video).stem if isinstance(video, str) else None
