"""Which answers did a model give, row by row?

    Predictions by row  <->  predictions.jsonl: one line for each row and question

A file appears whole or not at all. Of many options it tells the most likely ones, the right one and
the chosen one; a prediction that is read back knows these alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from flipbook.data.json_text import BadRow, StrictDecoder, json_line
from flipbook.data.parts import shown
from flipbook.data.written import write_whole
from flipbook.errors import DataError
from flipbook.evaluate.file_names import PREDICTIONS_FILE
from flipbook.evaluate.rows import ROWS
from flipbook.score.kinds.table import fault_of
from flipbook.score.prediction import Prediction

_TEXTS = ("record_id", "kind", "video", "question", "reference", "answer")
_PLAIN = ("number", "task", "value", "measures")
_MAYBE_TEXTS = ("task", "right_option", "choice")
_WHERE_KNOWN = ("references", "right_option", "choice")  # not every line has them


def write_predictions(path: str | Path, predictions: Mapping[str, Sequence[Prediction]]) -> None:
    """Write one line for each row and prediction, in their order.

    Raises:
        OSError: it cannot be written; a file that was there stays as it was.
    """
    lines = [
        json_line({"row": row, **prediction.as_dict()})
        for row, own in predictions.items()
        for prediction in own
    ]
    write_whole(Path(path), "".join(lines))


def read_predictions(path: str | Path) -> dict[str, list[Prediction]]:
    """Return the predictions of each row that a file has, in their order.

    Raises:
        DataError: the file cannot be read, holds no line, a line is none of ours, or a row has a
            question twice.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}). Give a run, a folder of an evaluation, or its "
            f"{PREDICTIONS_FILE}."
        ) from error
    decoder = StrictDecoder()
    found: dict[str, list[Prediction]] = {}
    known: set[tuple[str, str, int]] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        row, prediction = _read(decoder.decode(line), where)
        if (row, *prediction.key) in known:
            raise _unreadable(where, f"row {row} has question {prediction.key} twice")
        known.add((row, *prediction.key))
        found.setdefault(row, []).append(prediction)
    if not found:
        raise DataError(f"{path}: holds no prediction. Evaluate again with `flipbook evaluate`.")
    return found


def _read(line: Any, where: str) -> tuple[str, Prediction]:
    """Return the row and the prediction that a line tells of."""
    if isinstance(line, BadRow):
        raise _unreadable(where, line.reason)
    if not isinstance(line, dict):
        raise _unreadable(where, "it is no JSON object")
    needed = ("row", *_TEXTS, *_PLAIN)
    missing = [name for name in needed if name not in line]
    if missing:
        raise _unreadable(where, f"it has no {missing[0]!r}")
    told = [name for name in (*needed, *_WHERE_KNOWN) if name in line]
    wrong = next((name for name in told if not _fits(name, line[name])), None)
    if wrong is not None:
        raise _unreadable(where, f"its {wrong!r} is {shown(line[wrong])}")
    if line["row"] not in ROWS:
        raise _unreadable(where, f"its 'row' is {shown(line['row'])}; known are {', '.join(ROWS)}")
    fault = fault_of(line["kind"], line["value"], line["measures"])
    if fault is not None:
        raise _unreadable(where, fault)
    try:
        return line["row"], _prediction(line)
    except (OverflowError, TypeError, ValueError) as error:
        raise _unreadable(where, f"its options are not told as they should be ({error})") from error


def _fits(name: str, value: Any) -> bool:
    """Whether a value is of the type that its name has."""
    if name in _MAYBE_TEXTS:
        return value is None or isinstance(value, str)
    if name == "references":
        return isinstance(value, list) and all(isinstance(own, str) for own in value)
    if name == "measures":
        return isinstance(value, dict) and all(_is_number(own) for own in value.values())
    if name == "number":
        return isinstance(value, int) and not isinstance(value, bool)
    return _is_number(value) if name == "value" else isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _prediction(line: Mapping[str, Any]) -> Prediction:
    ranked = [(str(option), float(likelihood)) for option, likelihood in line.get("ranked", [])]
    if not all(math.isfinite(likelihood) for _, likelihood in ranked):
        raise ValueError("a likelihood is not finite")
    right, choice = line.get("right_option"), line.get("choice")
    told = (*(option for option, _ in ranked), right, choice)
    options = tuple(dict.fromkeys(option for option in told if option is not None))
    known = {field.name: line[field.name] for field in fields(Prediction) if field.name in line}
    return Prediction(
        **known
        | {
            "references": tuple(line.get("references", ())),
            "options": options,
            "option_log_likelihoods": tuple(likelihood for _, likelihood in ranked),
            "right_option": None if right is None else options.index(right),
            "choice": None if choice is None else options.index(choice),
        }
    )


def _unreadable(where: str, reason: str) -> DataError:
    return DataError(
        f"{where}: is no prediction: {reason}. Evaluate again with `flipbook evaluate`, which "
        "writes the file anew."
    )
