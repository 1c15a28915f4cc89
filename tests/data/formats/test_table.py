"""Which format a file is, among all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures_benchmarks import make_files, write_json
from flipbook.data.formats.origin import Origin
from flipbook.data.formats.table import FORMATS, NATIVE, detect_format, format_named
from flipbook.errors import ArgumentError, ManifestError


def test_a_format_is_named() -> None:
    assert format_named("columns") is FORMATS["columns"]
    with pytest.raises(ArgumentError) as caught:
        format_named("mesages")
    assert "--format mesages is unknown. Did you mean 'messages'? Known: " in str(caught.value)
    assert all(name in str(caught.value) for name in FORMATS)


def test_native_formats_are_formats() -> None:
    assert set(NATIVE) <= FORMATS.keys()
    assert all(form.about for form in FORMATS.values())
    known = {"columns", "prompt", "answers", "part"}
    assert {what for form in FORMATS.values() for what in form.uses} == known


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"a": 1, "b": 2}], "no format recognises it; its rows have the keys a, b. Name the format"),
        ([{"mesages": []}], "its rows have the keys mesages. Did you mean 'messages'?"),
        ([7, 8], "holds no row that is an object with keys; is it the right file?"),
        ([], "holds no row that is an object with keys; is it the right file?"),
    ],
)
def test_what_no_format_recognises(rows: list[object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        detect_format(Origin(write_json(tmp_path / "t.json", rows)))
    assert message in str(caught.value)
    assert str(tmp_path / "t.json") in str(caught.value)


def test_a_folder_that_no_format_recognises(tmp_path: Path) -> None:
    make_files(tmp_path, "a.mp4")
    with pytest.raises(ManifestError, match="without class folders of videos and without a data"):
        detect_format(Origin(tmp_path))


def test_named_columns_are_those_of_a_table(tmp_path: Path) -> None:
    path = write_json(tmp_path / "t.json", [{"messages": [], "x": "a.mp4", "y": "Rain."}])
    assert detect_format(Origin(path)) == "messages"
    assert detect_format(Origin(path, columns={"video": "x", "answer": "y"})) == "columns"
