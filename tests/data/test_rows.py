"""Manifests are read a piece at a time, whatever their size and form."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from flipbook.data import rows as rows_module
from flipbook.data.json_text import BadRow
from flipbook.data.rows import content_hash, read_rows
from flipbook.errors import ManifestError

VALUES: list[Any] = [
    {"id": 1, "text": 'a "quoted" \\ 猫 \u2028 line\n', "nested": [[1, [2, {"a": []}]], {}]},
    [],
    -12.5e-3,
    123456789,
    "½ 🌈",
    True,
    None,
    {},
    "x" * 100,
]


def write(folder: Path, text: str, name: str = "a.json") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("window", [1, 2, 3, 7, 64, 1 << 18])
@pytest.mark.parametrize("layout", [{}, {"indent": 3}, {"ensure_ascii": False}])
def test_a_list_is_the_same_through_any_window(
    window: int, layout: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_WINDOW_CHARACTERS", window)
    path = write(tmp_path, "\n " + json.dumps(VALUES, **layout) + " \n")
    assert list(read_rows(path)) == list(enumerate(VALUES, start=1))


BROKEN = [
    "",
    "  \n",
    "[",
    "[1, 2",
    "[1, 2,",
    "[1 2]",
    "[1,\n 2,\n]",
    '[{"a": 1}, {"a": ]',
    '[{"a": 1},\n\n  {"a" 1}]',
    '["cut',
    '["bad \\x escape"]',
    '["bad \\u12"]',
    '["tab \t"]',
    "[1] [2]",
    "[tru",
    "[-]",
    "[1.]",
    "[1e+]",
    "nonsense",
    "7 8",
    '{"id": 1',
]


@pytest.mark.parametrize("window", [1, 5, 1 << 18])
@pytest.mark.parametrize("text", BROKEN)
def test_what_is_wrong_is_told_with_the_place_that_json_tells(
    text: str, window: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_WINDOW_CHARACTERS", window)
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    with pytest.raises(ManifestError, match="not JSON") as caught:
        list(read_rows(write(tmp_path, text)))
    assert f"line {expected.value.lineno}," in str(caught.value)


def test_columns_are_counted_from_the_line_not_from_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_WINDOW_CHARACTERS", 4)
    text = '[{"id": 1},\n {"id": 2}, {"id": }]'
    with pytest.raises(ManifestError, match=r"line 2, column 20: not JSON .Expecting value"):
        list(read_rows(write(tmp_path, text)))


def test_an_error_in_the_middle_is_told_before_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "_WINDOW_CHARACTERS", 256)
    path = write(tmp_path, '[{"id" 1}, "' + "x" * 2_000_000 + '"]')
    tracemalloc.start()
    with pytest.raises(ManifestError, match="line 1, column 8: not JSON"):
        list(read_rows(path))
    assert tracemalloc.get_traced_memory()[1] < 500_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_rows_take_the_memory_of_one(name: str, tmp_path: Path) -> None:
    rows = [json.dumps({"id": number, "text": "x" * 2000}) for number in range(2000)]
    text = "\n".join(rows) if name.endswith("l") else f"[{', '.join(rows)}]"
    path = write(tmp_path, text, name)
    tracemalloc.start()
    assert sum(1 for _ in read_rows(path)) == 2000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def test_a_row_larger_than_the_window_is_whole(tmp_path: Path) -> None:
    giant = {"id": "x" * 3_000_000}
    assert list(read_rows(write(tmp_path, json.dumps([giant, 1])))) == [(1, giant), (2, 1)]
    path = write(tmp_path, json.dumps(giant) + "\r\n" + json.dumps(giant), "a.jsonl")
    assert [number for number, _ in read_rows(path)] == [1, 2]


def test_byte_order_marks_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    for name, text in (("a.json", "[1, 2]"), ("a.jsonl", "1\n2"), ("b.json", '{"id": 1}\n{}')):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert len(list(read_rows(path))) == 2
    assert list(read_rows(write(tmp_path, "\n\n1\n \t\n2\n\n", "a.ndjson"))) == [(3, 1), (5, 2)]


def test_bytes_that_are_no_text_are_told_by_their_place(tmp_path: Path) -> None:
    good = f'{{"id": "{"猫" * 50}"}}\n'.encode() * 10_000
    path = tmp_path / "a.json"
    good = b"[" + good.replace(b"\n", b",\n")
    path.write_bytes(good + b'{"id": "\xff"}')
    with pytest.raises(ManifestError, match=f"invalid start byte at byte {len(good) + 8}"):
        list(read_rows(path))
    path.write_bytes(b'{"id": "' + "猫".encode()[:2])
    with pytest.raises(ManifestError, match=r"no text in UTF-8 .unexpected end of data at byte 8"):
        list(read_rows(path))


def test_a_line_that_is_no_text_is_a_row_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"id": "猫"}\n'.encode() + b'{"id": "\xff"}\n{"id": 3}')
    first, second, third = list(read_rows(path))
    assert (first, third) == ((1, {"id": "猫"}), (3, {"id": 3}))
    assert second == (2, BadRow("is no text in UTF-8; write it again in that encoding"))


def test_numbers_of_thousands_of_digits_and_deep_nesting_are_refused(tmp_path: Path) -> None:
    number = '{"a": ' + "7" * 5000 + "}"
    for name, text in (("a.json", f"[{number}]"), ("a.jsonl", number)):
        ((_, found),) = read_rows(write(tmp_path, text, name))
        assert found == BadRow("holds a number of 5,000 digits; write it as text")
    with pytest.raises(ManifestError, match="nested too deeply; a manifest is a list of rows"):
        list(read_rows(write(tmp_path, "[" * 100_000 + "]" * 100_000)))


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for read in (content_hash, lambda path: list(read_rows(path))):
        with pytest.raises(ManifestError, match="is no regular file, and .* write it to a file"):
            read(tmp_path / "pipe.jsonl")


def test_the_hash_of_a_manifest_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, "[1]")
    before = content_hash(path)
    assert content_hash(path) == before
    assert content_hash(write(tmp_path, "[1] ")) != before
    with pytest.raises(ManifestError, match=r"nowhere.json: does not exist; check --data_path"):
        content_hash(tmp_path / "nowhere.json")
    with pytest.raises(ManifestError, match=r"is no JSON or JSONL file; make records of it with"):
        content_hash(tmp_path)
    with pytest.raises(ManifestError, match=r"cannot be read .Not a directory"):
        content_hash(path / "a.json")
