"""What does a row say beside its conversation?

    row -> Extras: task, kind of question, options, right answers, spans, group, split
        -> View: how its clips are read, where not as the run says

To add one: a field here, a function that reads it, and a line in `_READ`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flipbook.data.parts import made_view, shown
from flipbook.errors import RecordError, did_you_mean
from flipbook.video.view import OVERRIDES, WHOLE, View

KINDS = (
    "open",
    "multiple_choice",
    "classification",
    "caption",
    "when",
    "feedback",
    "count",
)
SPLITS = ("train", "validation", "test")
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "validate": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
    "testing": "test",
}
CLIP_KEY = "clip"
NAME_OF_AVERAGE = "mean"  # under which the average over tasks is reported
_NEED_OPTIONS = ("multiple_choice", "classification")


@dataclass(frozen=True)
class Extras:
    """What evaluation and division into splits need of a record.

    Attributes:
        task: scores are given for each.
        kind: one of `KINDS`.
        options: the answers among which one is right, without letters.
        answer: what is right, as evaluation compares it; one of `options` where there are some.
        references: further right answers; of a caption, all of them.
        spans: stretches of the clip in seconds that a when-question asks for.
        group: what must not be divided between splits: source video or person.
        split: one of `SPLITS`.
    """

    task: str | None = None
    kind: str | None = None
    options: tuple[str, ...] = ()
    answer: str | None = None
    references: tuple[str, ...] = ()
    spans: tuple[tuple[float, float], ...] = ()
    group: str | None = None
    split: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what is set, as JSON has it."""
        lists = {
            "options": list(self.options),
            "references": list(self.references),
            "spans": [list(span) for span in self.spans],
        }
        return {
            name: value for name, value in (vars(self) | lists).items() if value not in (None, [])
        }


def read_extras(row: Mapping[str, Any], record_id: str) -> Extras:
    """Return what a row says beside its conversation.

    Raises:
        RecordError: a value is of a wrong type or unknown, an option is blank, the answer is none
            of the options, or the task is called as the average over tasks is.
    """
    found = {
        name: read(row[name], name, record_id)
        for name, read in _READ.items()
        if row.get(name) is not None
    }
    extras = Extras(**found)
    if extras.kind in _NEED_OPTIONS and not extras.options:
        raise RecordError(record_id, f"is of kind {extras.kind} and has no 'options'; add them")
    if extras.options and extras.answer is not None and extras.answer not in extras.options:
        raise RecordError(
            record_id,
            f"'answer' is {extras.answer!r}, which is none of its options "
            f"{shown(list(extras.options))}; write the text of the right one",
        )
    return extras


def read_clip_view(row: Mapping[str, Any], record_id: str) -> View:
    """Return how the clips of a row are read, where it says so under 'clip'.

    Raises:
        RecordError: a setting is unknown or wrong.
    """
    values = row.get(CLIP_KEY)
    if not isinstance(values, dict):
        return WHOLE  # in files of other origin, 'clip' may be a name or a number
    for name in values:
        if name not in (*OVERRIDES, "frames_fps"):
            raise RecordError(
                record_id,
                f"'clip' holds {name!r}; known are {', '.join(OVERRIDES)}."
                f"{did_you_mean(name, OVERRIDES)}",
            )
    return made_view(values, record_id)


def split_named(name: str) -> str | None:
    """Return the split that `train`, `val`, `valid`, `dev`, `test`, ... mean; None for none."""
    return _SPLIT_NAMES.get(name.strip().lower())


def is_whole_text(text: str) -> bool:
    """Return whether a text can be written down; half of a character (a lone surrogate) cannot."""
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _text(value: Any, name: str, record_id: str) -> str:
    if isinstance(value, str) and is_whole_text(value):
        return value
    raise RecordError(record_id, f"{name!r} is {shown(value)}; it must be text")


def _word(value: Any, name: str, record_id: str) -> str:
    """Return text; a number is one too."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return _text(str(value) if is_number else value, name, record_id)


def _texts(value: Any, name: str, record_id: str) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_word(item, name, record_id) for item in value)
    raise RecordError(record_id, f"{name!r} is {shown(value)}; it must be a list of texts")


def _options(value: Any, name: str, record_id: str) -> tuple[str, ...]:
    options = _texts(value, name, record_id)
    for number, option in enumerate(options, start=1):
        if not option.strip():
            raise RecordError(
                record_id, f"option {number} under {name!r} is blank; write its words, or remove it"
            )
    return options


def _task(value: Any, name: str, record_id: str) -> str:
    task = _text(value, name, record_id)
    if task == NAME_OF_AVERAGE:
        raise RecordError(
            record_id,
            f"{name!r} is {task!r}, the name under which the average over tasks is reported; give "
            "the task another name",
        )
    return task


def _kind(value: Any, name: str, record_id: str) -> str:
    if value in KINDS:
        return str(value)
    raise RecordError(
        record_id,
        f"{name!r} is {shown(value)}; known are {', '.join(KINDS)}."
        f"{did_you_mean(str(value), KINDS)}",
    )


def _split(value: Any, name: str, record_id: str) -> str:
    split = split_named(value) if isinstance(value, str) else None
    if split is not None:
        return split
    raise RecordError(
        record_id,
        f"{name!r} is {shown(value)}; known are {', '.join(SPLITS)}."
        f"{did_you_mean(str(value), _SPLIT_NAMES)}",
    )


def _spans(value: Any, name: str, record_id: str) -> tuple[tuple[float, float], ...]:
    spans = value if isinstance(value, list) else [value]
    for span in spans:
        is_pair = isinstance(span, list) and len(span) == 2
        if not is_pair or not all(_is_instant(instant) for instant in span) or span[1] < span[0]:
            raise RecordError(
                record_id,
                f"{name!r} holds {shown(span)}; a span is a list of two instants in seconds, the "
                "start first",
            )
    return tuple((float(start), float(end)) for start, end in spans)


def _is_instant(value: object) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value < 1e9  # type: ignore[operator]


_READ: dict[str, Callable[[Any, str, str], Any]] = {
    "task": _task,
    "kind": _kind,
    "options": _options,
    "answer": _word,
    "references": _texts,
    "spans": _spans,
    "group": _word,
    "split": _split,
}
