"""Any JSON value in any place of a row gives a Record, or a RecordError with the row's name."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flipbook.data.records import Record, read_records
from flipbook.errors import ManifestError

pytestmark = pytest.mark.guarantee(7)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=12),
        st.text(st.characters(categories=["Cs"]), min_size=1, max_size=1),
        st.sampled_from(["<video>", "a.mp4", "../x.mp4", "/etc/passwd", "http://x/a.mp4", "human"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=6), st.sampled_from(["path", "type"])), inner),
    ),
    max_leaves=8,
)
TURNS = [{"from": "human", "value": "<video>\nWhy?"}, {"from": "gpt", "value": "Rain."}]
PARTS = [
    {"type": "video", "path": "a.mp4", "start_s": 0, "end_s": 1},
    {"type": "text", "text": "?"},
]
MESSAGES = [{"role": "user", "content": PARTS}, {"role": "assistant", "content": "Rain."}]
ROWS: tuple[dict[str, Any], ...] = (
    {"id": "r", "video": "a.mp4", "conversations": TURNS, "task": "why", "split": "train"},
    {
        "id": "r",
        "messages": MESSAGES,
        "clip": {"num_frames": 4, "sampler": "uniform", "frames_fps": 2},
        "kind": "multiple_choice",
        "options": ["Rain.", "Snow."],
        "answer": "Rain.",
        "references": ["Rain."],
        "spans": [[0.5, 1.5]],
        "group": 7,
    },
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every place in a row, as the keys that lead there."""
    keys = value if isinstance(value, dict) else range(len(value)) if type(value) is list else ()
    found = [(*path, key) for key in keys]
    return found + [place for key in keys for place in places(value[key], (*path, key))]


CHANGES = st.sampled_from([(row, place) for row in ROWS for place in places(row)])


def check(folder: Path, change: tuple[dict[str, Any], tuple[Any, ...]], value: Any) -> None:
    """Put a value into a place of a row; the sound row beside it must stay as it is."""
    row, (*before, last) = copy.deepcopy(change[0]), change[1]
    holder = row
    for key in before:
        holder = holder[key]
    holder[last] = value
    sound = ROWS[0] | {"id": "sound"}
    path = folder / "rows.jsonl"
    path.write_text(f"{json.dumps(row)}\n{json.dumps(sound)}\n")
    try:
        found = read_records(path)
    except ManifestError as error:
        raise AssertionError(f"one row cost the file: {error}") from error
    assert len(found.records) + len(found.rejected) == 2
    assert isinstance(found.records[-1], Record) and found.records[-1].id == "sound"
    for error in found.rejected:
        assert error.record_id and len(str(error).splitlines()) == 1
        assert str(error).startswith(f"record {error.record_id}: ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("records")
    (place / "a.mp4").write_bytes(b"x")
    return place


@given(CHANGES, VALUES)
@settings(max_examples=80, derandomize=True, deadline=None, database=None)
def test_any_value_in_any_place(folder: Path, change: Any, value: Any) -> None:
    check(folder, change, value)


@pytest.mark.slow
@given(CHANGES, VALUES)
@settings(
    max_examples=8_000,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_many_values_in_many_places(folder: Path, change: Any, value: Any) -> None:
    check(folder, change, value)
