"""The relatives of messages: ms-swift's older rows, TRL's, and turns with other names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures_benchmarks import make_files, outcome, write_json
from flipbook.data.formats.origin import Origin
from flipbook.data.formats.table import FORMATS, detect_format
from flipbook.data.turns import Turn

SWIFT_OLD = {
    "system": "Be brief.",
    "query": "<video>And now?",
    "response": "It stops.",
    "history": [["Hi", "Hello"], ["What moves?", "A ball."]],
    "videos": ["a.mp4"],
}
SWIFT_SHAREGPT = {
    "system": "Be brief.",
    "conversation": [
        {"human": "<image>What is it?", "assistant": "A cat."},
        {"human": "Sure?", "assistant": "Yes."},
    ],
    "images": ["c.png"],
}
TRL_MESSAGES = {
    "prompt": [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}
    ],
    "completion": [{"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}],
    "images": ["c.png"],
}
TRL_TEXT = {"prompt": "<video>\nWhat moves?", "completion": "A ball.", "video": "a.mp4"}
MINICPM = {
    "id": "0",
    "image": "c.png",
    "conversations": [
        {"role": "user", "content": "<image>\nWhat is it?"},
        {"role": "assistant", "content": "A cat."},
    ],
}
FROM_VALUE = {
    "messages": [
        {"from": "human", "value": "<video>What moves?"},
        {"from": "gpt", "value": "A ball."},
    ],
    "videos": ["a.mp4"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_files(tmp_path, "a.mp4", "c.png")


def read(row: dict[str, Any], folder: Path) -> tuple[str, list[tuple[str, ...]], list[str]]:
    """The format, role and parts of each turn with media by name, and the errors."""
    origin = Origin(write_json(folder / "train.json", [row]))
    name = detect_format(origin)
    records, errors = outcome(FORMATS[name].read, origin)
    turns = next(iter(records.values())).conversations[0] if records else ()
    return name, [(turn.role, *parts_of(turn)) for turn in turns], errors


def parts_of(turn: Turn) -> list[str]:
    return [part if isinstance(part, str) else f"[{Path(part.path).name}]" for part in turn.parts]


@pytest.mark.parametrize(
    ("row", "name", "turns"),
    [
        (
            SWIFT_OLD,
            "query_response",
            [
                ("system", "Be brief."),
                ("user", "Hi"),
                ("assistant", "Hello"),
                ("user", "What moves?"),
                ("assistant", "A ball."),
                ("user", "[a.mp4]", "And now?"),
                ("assistant", "It stops."),
            ],
        ),
        (
            SWIFT_SHAREGPT,
            "query_response",
            [
                ("system", "Be brief."),
                ("user", "[c.png]", "What is it?"),
                ("assistant", "A cat."),
                ("user", "Sure?"),
                ("assistant", "Yes."),
            ],
        ),
        (
            TRL_MESSAGES,
            "prompt_completion",
            [("user", "[c.png]", "What is it?"), ("assistant", "A cat.")],
        ),
        (
            TRL_TEXT,
            "prompt_completion",
            [("user", "[a.mp4]", "What moves?"), ("assistant", "A ball.")],
        ),
        (MINICPM, "turns", [("user", "[c.png]", "What is it?"), ("assistant", "A cat.")]),
        (FROM_VALUE, "turns", [("user", "[a.mp4]", "What moves?"), ("assistant", "A ball.")]),
    ],
)
def test_rows(row: dict[str, Any], name: str, turns: list[tuple[str, ...]], folder: Path) -> None:
    assert read(row, folder) == (name, turns, [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SWIFT_OLD | {"response": None}, "has no 'response'; add it or remove the row"),
        (SWIFT_OLD | {"history": "Hi"}, "'history' must be a list of turns; it is 'Hi'"),
        (SWIFT_OLD | {"history": [["Hi"]]}, "'history' holds ['Hi']; it must hold pairs"),
        (
            SWIFT_SHAREGPT | {"conversation": [{"human": "Hi"}]},
            "a turn has the keys human; 'human' and 'assistant' are needed",
        ),
        (TRL_TEXT | {"prompt": 7}, "'prompt' is 7; it must be text or a list of messages"),
        (TRL_TEXT | {"completion": []}, "'completion' is []; it must be text or a list"),
        (
            FROM_VALUE | {"messages": [*FROM_VALUE["messages"][:1], {"from": "gpt", "vale": "x"}]},
            "a turn has the keys from, vale and misses 'value'; add it. Did you mean 'vale'?",
        ),
        (FROM_VALUE | {"messages": [*FROM_VALUE["messages"], 7]}, "a turn is 7; it must be an"),
        (
            FROM_VALUE | {"messages": [{"from": "humn", "value": "Hi"}]},
            "unknown role 'humn'; known are system, user, human, assistant, gpt. Did you mean",
        ),
    ],
)
def test_what_is_wrong_is_told(row: dict[str, Any], reason: str, folder: Path) -> None:
    _, turns, errors = read(row, folder)
    assert not turns
    assert len(errors) == 1
    assert reason in errors[0]


def test_a_conversation_that_is_no_list_of_objects(folder: Path) -> None:
    rows = [*[SWIFT_SHAREGPT] * 9, SWIFT_SHAREGPT | {"conversation": "Hi"}]
    path = folder / "train.json"
    origin = Origin(write_json(path, rows))
    errors = [row for row in FORMATS["query_response"].read(origin) if not isinstance(row, dict)]
    assert [str(error) for error in errors] == [
        "record train.json:10: 'conversation' is 'Hi'; it must be a list of objects"
    ]


def test_usual_rows_among_swapped_ones_are_passed_on(folder: Path) -> None:
    usual = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes"}]}
    origin = Origin(write_json(folder / "train.json", [MINICPM, usual]))
    records, errors = outcome(FORMATS[detect_format(origin)].read, origin)
    assert not errors
    assert records["train.json:2"].conversations[0][1].text == "Yes"


def test_what_our_own_form_knows_is_kept(folder: Path) -> None:
    row = SWIFT_OLD | {"task": "motion", "group": "g", "split": "val", "other": object.__name__}
    origin = Origin(write_json(folder / "train.json", [row]))
    (record,) = outcome(FORMATS["query_response"].read, origin).records.values()
    assert (record.task, record.extras.group, record.extras.split) == ("motion", "g", "validation")
