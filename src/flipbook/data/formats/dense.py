"""When in a clip does what these benchmarks describe happen?

    ActivityNet Captions  {"v_QOlSCBRmfWY": {"duration": 82.7, "timestamps": [[0.8, 19.9], ...],
                           "sentences": ["A young woman ...", ...]}, ...}
    Charades-STA          AO8RW 0.0 6.9##a person is putting a book on a shelf.

Each event becomes a question when it happens, asked of the whole clip. ActivityNet Captions are
also read the other way around, as `activitynet_segments`: a stretch is shown, and described.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from flipbook.data.formats.asked import (
    Made,
    OwnRow,
    Rows,
    find_first,
    is_blank,
    made_or_error,
    question_row,
    row_id,
    seconds,
    split_of_name,
    word,
)
from flipbook.data.formats.containers import read_object, rows_of
from flipbook.data.formats.media_names import MediaNames
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.prompts import CAPTION_PROMPT, span_answer, when_question
from flipbook.data.parts import shown
from flipbook.errors import ManifestError, RecordError

_NUMBER = r"(\d+(?:\.\d+)?)"
_CHARADES_LINE = re.compile(rf"(\S+)\s+{_NUMBER}\s+{_NUMBER}\s*##\s*(\S.*)")
_DENSE_KEYS = {"timestamps", "sentences"}
_NUM_LOOKED_AT = 50


class _Event(NamedTuple):
    """What happens in a clip, from when to when."""

    path: str
    group: str
    sentence: str
    start_s: float
    end_s: float


def is_activitynet(head: Head) -> bool:
    """Return whether a file is one object that holds timestamps and sentences for each video."""
    videos = list(head.rows[0].values())[:_NUM_LOOKED_AT] if head.is_object and head.rows else []
    return bool(videos) and all(isinstance(v, dict) and v.keys() >= _DENSE_KEYS for v in videos)


def read_activitynet(origin: Origin) -> Rows:
    """Yield the question when each event of ActivityNet Captions happens.

    Raises:
        ManifestError: the file cannot be read.
    """
    return _read_activitynet(origin, lambda event, name: _when_row(event, name, origin))


def read_activitynet_segments(origin: Origin) -> Rows:
    """Yield each stretch of ActivityNet Captions as a clip of its own that is described.

    Raises:
        ManifestError: the file cannot be read.
    """
    return _read_activitynet(origin, lambda event, name: _caption_row(event, name, origin))


def is_charades_sta(head: Head) -> bool:
    """Return whether a file is text whose first line is of the form of Charades-STA."""
    if head.path.suffix.lower() != ".txt" or not head.path.is_file():
        return False
    try:
        first = next((line for _, line in rows_of(head.path)), "")
    except ManifestError:
        return False  # no text at all, of which another format may know more
    return _CHARADES_LINE.fullmatch(first.strip()) is not None


def read_charades_sta(origin: Origin) -> Rows:
    """Yield the question when each event of Charades-STA happens.

    Raises:
        ManifestError: the file cannot be read.
    """
    names = MediaNames(origin.media_folder)

    def make(line: object, name: str) -> Made:
        found = _CHARADES_LINE.fullmatch(line.strip()) if isinstance(line, str) else None
        if found is None:
            raise RecordError(
                name, f"is {shown(line)}; a line is an id, start, end, ## and a sentence"
            )
        video, start, end, sentence = found.groups()
        start_s, end_s = _span([start, end], name)
        event = _Event(names.find(video, record_id=name), video, sentence.strip(), start_s, end_s)
        yield _when_row(event, name, origin)

    for number, line in rows_of(origin.path):
        yield from made_or_error(make, line, f"{origin.path.name}:{number}")


def _read_activitynet(origin: Origin, make_row: Callable[[_Event, str], OwnRow]) -> Rows:
    names = MediaNames(origin.media_folder)

    def make(video: str, content: object, name: str) -> Made:
        pairs = _pairs_in(content, name)
        bare = video.removeprefix("v_")
        path = find_first(names, [video, bare, f"v_{bare}"], record_id=name)
        for place, (span, sentence) in enumerate(pairs):
            yield from made_or_error(make_event, path, bare, span, sentence, f"{name}_{place}")

    def make_event(path: str, group: str, span: object, sentence: object, name: str) -> Made:
        text = word(sentence, "sentences", name)
        yield make_row(_Event(path, group, text, *_span(span, name)), name)

    for number, (video, content) in enumerate(read_object(origin.path).items(), start=1):
        name = row_id(video, f"{origin.path.name}:{number}")
        yield from made_or_error(make, video, content, name)


def _pairs_in(content: object, video: str) -> Iterator[tuple[object, object]]:
    """Return the timestamps and sentences of a video, two by two."""
    values: Any = content if isinstance(content, dict) else {}
    timestamps, sentences = values.get("timestamps"), values.get("sentences")
    if not isinstance(timestamps, list) or not isinstance(sentences, list) or not sentences:
        raise RecordError(video, "has no lists of 'timestamps' and 'sentences'; add them")
    if len(timestamps) != len(sentences):
        raise RecordError(
            video, f"has {len(timestamps)} timestamps for {len(sentences)} sentences; mend it"
        )
    return zip(timestamps, sentences, strict=True)


def _span(value: object, name: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2 or any(map(is_blank, value)):
        raise RecordError(name, f"its timestamps are {shown(value)}; they must be two instants")
    start_s, end_s = (seconds(instant, "timestamps", name) for instant in value)
    if end_s <= start_s:
        raise RecordError(
            name, f"ends at {end_s:g} s and starts at {start_s:g} s; mend its timestamps"
        )
    return start_s, end_s


def _when_row(event: _Event, name: str, origin: Origin) -> OwnRow:
    return question_row(
        name,
        clip={"path": event.path},
        question=when_question(event.sentence),
        reply=span_answer(event.start_s, event.end_s),
        kind="when",
        spans=[[event.start_s, event.end_s]],
        group=event.group,
        split=split_of_name(origin.path),
    )


def _caption_row(event: _Event, name: str, origin: Origin) -> OwnRow:
    return question_row(
        name,
        clip={"path": event.path, "start_s": event.start_s, "end_s": event.end_s},
        question=origin.prompt or CAPTION_PROMPT,
        reply=event.sentence,
        kind="caption",
        references=[event.sentence],
        group=event.group,
        split=split_of_name(origin.path),
    )
