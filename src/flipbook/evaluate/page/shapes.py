"""Do the files of a report hold what is read from them?

    plain values, Shape  ->  what is wrong and where, or nothing

    NUMBER                     a number that is finite
    [NUMBER]                   a list of them
    (NUMBER, NUMBER)           a list of two
    {"a": TEXT, "b?": NUMBER}  an object with "a", and a number where it has "b"; what else is free
    {...: NUMBER}              an object of numbers, whatever their names
    (None, NUMBER)             null or a number

To add a file: its shape here, and the line in `files.py` that reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flipbook.data.parts import shown
from flipbook.evaluate.rows import ROWS, TUNED
from flipbook.score.kinds.table import ROUNDING
from flipbook.score.scores import MEAN

Shape = Any  # a Plain, or lists, tuples and objects of shapes as above


class Plain(NamedTuple):
    """A value that is no list and no object: what it is in words, and how that is seen."""

    told: str
    fits: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max


NUMBER = Plain("a number", _is_number)
SHARE = Plain(
    "a number from 0 to 1", lambda value: _is_number(value) and -ROUNDING <= value <= 1 + ROUNDING
)
COUNT = Plain("a whole number", lambda value: _is_number(value) and value >= 0 and value % 1 == 0)
TEXT = Plain("a text", lambda value: isinstance(value, str))
ANY = Plain("a value", lambda value: True)

ESTIMATE: Shape = {"value": NUMBER, "low?": NUMBER, "high?": NUMBER, "p_value?": SHARE}
_ROW = {MEAN: SHARE, ...: SHARE}
_COUNTS = {...: COUNT}
SCORES: Shape = {
    **{f"{row}?": _ROW for row in ROWS},
    TUNED: _ROW,
    "verdict": TEXT,
    "num_questions?": {...: _COUNTS},
    "num_videos?": _COUNTS,
    "intervals?": {...: {...: (NUMBER, NUMBER)}},
    "kinds?": {...: {...: {...: ESTIMATE}}},
    "num_of_kind?": {...: _COUNTS},
    "temporal_gain?": (None, {**ESTIMATE, "against": TEXT}),
    "differences?": {...: ESTIMATE},
    "chance?": {...: SHARE},
}
_SPREAD = {"median": NUMBER, "low": NUMBER, "high": NUMBER}
COST: Shape = {
    **dict.fromkeys(("device", "dtype", "num_questions", "frames", "frame_size"), ANY),
    **dict.fromkeys(
        ("visual_tokens?", "prompt_tokens?", "encode_ms?", "prefill_ms?", "ms_per_token?"), _SPREAD
    ),
    "peak_memory_bytes?": NUMBER,
}
_POINT = {"frames": COUNT, "frame_size": COUNT}
_SWEPT = {
    **dict.fromkeys(("visual_tokens", "latency_ms", "score", "low", "high"), NUMBER),
    **dict.fromkeys(("on_front", "picked"), ANY),
}
SWEEP: Shape = {
    "points": [{**_POINT, **_SWEPT}],
    "refused?": [{**_POINT, "reason": ANY}],
    "trained_at": _POINT,
    "rule": TEXT,
    "num_questions": COUNT,
    "dtype?": TEXT,
}
_FRAME = {"jpeg": TEXT, "time_s?": (None, NUMBER), "width?": COUNT, "height?": COUNT}
_SHOWN = {
    "record_id": TEXT,
    "number": COUNT,
    "frames": [_FRAME],
    "num_frames?": COUNT,
    "duration_s?": (None, NUMBER),
    "fault?": TEXT,
}
GALLERY: Shape = {"items?": [_SHOWN]}
_QUANTITIES = ("num_records", "num_conversations", "num_videos", "num_images")
_SPLIT = {
    **{f"{name}?": (None, NUMBER) for name in (*_QUANTITIES, "median_tokens", "longest_tokens")},
    "num_rejected?": COUNT,
    "tasks?": {...: COUNT},
    "files?": [{"file": TEXT, "sha256?": TEXT, "num_records?": (None, NUMBER)}],
    "rejected?": [{"record_id": TEXT, "reason": TEXT}],
}
DATA: Shape = {"train?": (None, _SPLIT), "validation?": (None, _SPLIT)}
ENVIRONMENT: Shape = {"versions?": {...: ANY}}
LOGGED: Shape = {"step": NUMBER}
FOLLOWED: Shape = {
    **dict.fromkeys(("record_id", "question", "reference", "answer"), TEXT),
    **dict.fromkeys(("number", "step"), COUNT),
    "value": NUMBER,
}


def fault_in(value: Any, shape: Shape, *, where: str = "") -> str | None:
    """Return what of a value is not as its shape has it, and where; None where all is.

    {"tuned": {"mean": "abc"}}, SCORES  ->  "tuned/mean is 'abc' and not a number from 0 to 1"
    """
    if isinstance(shape, Plain):
        return None if shape.fits(value) else _told(where, value, shape.told)
    if isinstance(shape, Mapping):
        return _fault_in_object(value, shape, where)
    if isinstance(shape, tuple) and shape[0] is None:
        return None if value is None else fault_in(value, shape[1], where=where)
    if not isinstance(value, list):
        return _told(where, value, "a list")
    if isinstance(shape, tuple) and len(value) != len(shape):
        return _told(where, value, f"a list of {len(shape)}")
    shapes = shape if isinstance(shape, tuple) else shape * len(value)
    each = zip(value, shapes, strict=True)
    return _first(fault_in(v, s, where=f"{where}/{n}") for n, (v, s) in enumerate(each))


def _fault_in_object(value: Any, shape: Mapping[Any, Shape], where: str) -> str | None:
    if not isinstance(value, dict):
        return _told(where, value, "an object")
    named = {name.removesuffix("?"): own for name, own in shape.items() if name is not ...}
    missing = [name for name in named if name not in value and name in shape]
    if missing:
        return f"{where.strip('/') or 'it'} has no {missing[0]!r}"
    shapes = {name: named.get(name, shape.get(..., ANY)) for name in value}
    return _first(fault_in(value[n], own, where=f"{where}/{n}") for n, own in shapes.items())


def _first(faults: Any) -> str | None:
    return next((fault for fault in faults if fault is not None), None)


def _told(where: str, value: Any, wanted: str) -> str:
    return f"{where.strip('/') or 'it'} is {shown(value)} and not {wanted}"
