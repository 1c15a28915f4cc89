"""Rows of CSV, text, JSON and folders, whatever they mean."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from flipbook.data.formats import containers
from flipbook.data.formats.containers import is_json_object, read_object, rows_of
from flipbook.data.formats.origin import Head, Origin, origin_named
from flipbook.data.json_text import BadRow
from flipbook.errors import ManifestError


def write(path: Path, content: str | bytes) -> Path:
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'video,question\na.mp4,"Why, though?"\n\nb.mp4,"two\nlines"\n'),
        ("t.csv", '\ufeffvideo;question\na.mp4;"Why, though?"\nb.mp4;"two\nlines"\n'),
        ("t.tsv", 'video\tquestion\r\na.mp4\tWhy, though?\r\nb.mp4\t"two\nlines"\r\n'),
        ("t.csv", ' video , question\na.mp4,"Why, though?"\nb.mp4,"two\nlines"'),
    ],
)
def test_tables(name: str, content: str, tmp_path: Path) -> None:
    assert list(rows_of(write(tmp_path / name, content))) == [
        (1, {"video": "a.mp4", "question": "Why, though?"}),
        (2, {"video": "b.mp4", "question": "two\nlines"}),
    ]


def test_a_row_with_too_few_fields_spoils_no_other(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "video,question\na.mp4\nb.mp4,Why?,No\nc.mp4,Why?\n")
    assert list(rows_of(path)) == [
        (1, BadRow("has 1 fields where the first line names 2; mend it")),
        (2, BadRow("has 3 fields where the first line names 2; mend it")),
        (3, {"video": "c.mp4", "question": "Why?"}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty; its first line must name the columns"),
        ("t.csv", "a,b,a\n1,2,3\n", "two columns are called 'a'; rename one"),
        ("t.csv", 'a,b\n"x', "cannot be read as a table (unexpected end of data)"),
        ("t.csv", b"a,b\n\xff,1\n", "save it as UTF-8, with the names of the columns"),
        ("t.txt", b"\xff", "cannot be read as text"),
        ("t.parquet", b"PAR1 no", "cannot be read as Parquet"),
        ("t.json", "[1, 2", "line 1, column 6: not JSON"),
    ],
)
def test_files_that_cannot_be_read(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError) as caught:
        list(rows_of(write(tmp_path / name, content)))
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ManifestError, match=r"pipe\.csv: is no regular file"):
        list(rows_of(tmp_path / "pipe.csv"))
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ManifestError, match="is no regular file"):
        is_json_object(tmp_path / "pipe.json")


def test_a_missing_file_is_told_of_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a\n1\n")
    with pytest.raises(ManifestError, match=r"does not exist; .*Did you mean 'train\.csv'\?"):
        list(rows_of(tmp_path / "trian.csv"))


def test_lines_of_text(tmp_path: Path) -> None:
    assert list(rows_of(write(tmp_path / "t.txt", "a b\n\nc\n"))) == [(1, "a b"), (3, "c")]


@pytest.mark.parametrize(
    ("content", "is_object"),
    [
        ('{"a": {"b": 1}}', True),
        ('{\n "a": 1\n}\n', True),
        ('\ufeff  {"a": 1}  ', True),
        ('{"a": 1}\n{"a": 2}\n', False),
        ('[{"a": 1}]', False),
        (f'{{"a": "{"x" * 100_000}"}}\n{{"a": 2}}', False),
        ("", False),
    ],
)
def test_one_object_or_many(content: str, is_object: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "t.json", content)
    assert is_json_object(path) is is_object
    if content:
        assert Origin(path).head.is_object is is_object


def test_lines_are_never_one_object(tmp_path: Path) -> None:
    assert not is_json_object(write(tmp_path / "t.jsonl", '{"a": 1}'))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "holds list; an object was expected"),
        ('{"a": NaN}', "holds NaN, which is no JSON"),
        ('{"a": 1, "a": 2}', "holds the key 'a' twice"),
        (b"\xff", "cannot be read"),
    ],
)
def test_objects_that_are_none(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=message):
        read_object(write(tmp_path / "t.json", content))


def test_an_object_too_large_to_be_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_MOST_OBJECT_BYTES", 5)
    with pytest.raises(ManifestError, match="is one JSON object of over 4 GB; write it as JSONL"):
        read_object(write(tmp_path / "t.json", '{"a": 1}'))


def test_a_head_has_the_first_rows_and_their_keys(tmp_path: Path) -> None:
    rows = [{"a": 1, "b": 2} for _ in range(60)]
    rows[3] = {"b": 2}
    rows[4] = {"a": 1, "b": 1, "c": 1}
    path = write(tmp_path / "t.jsonl", "".join(f"{json.dumps(row)}\n" for row in [7, *rows]))
    head = Origin(path).head
    assert len(head.rows) == 49
    assert head.keys == {"a", "b"}  # one row without it hides nothing
    assert head.any_keys == {"a", "b", "c"}
    assert Head(path, ()).keys == frozenset()


def test_a_folder_with_a_list_of_its_clips(tmp_path: Path) -> None:
    write(tmp_path / "metadata.csv", "file_name,label\na.mp4,run\n")
    assert list(rows_of(tmp_path)) == [(1, {"file_name": "a.mp4", "label": "run"})]
    assert Origin(tmp_path).head.keys == {"file_name", "label"}


def test_lists_in_the_folders_of_splits(tmp_path: Path) -> None:
    for split in ("train", "val", "other"):
        (tmp_path / split).mkdir()
        write(tmp_path / split / "metadata.jsonl", '{"file_name": "a.mp4", "text": "x"}\n7\n')
    assert list(rows_of(tmp_path)) == [
        (1, {"split": "train", "file_name": "train/a.mp4", "text": "x"}),
        (2, 7),
        (3, {"split": "validation", "file_name": "val/a.mp4", "text": "x"}),
        (4, 7),
    ]


def test_a_folder_without_a_data_set(tmp_path: Path) -> None:
    assert Origin(tmp_path).head.rows == ()
    with pytest.raises(ManifestError, match="is a folder without a data set; name a file"):
        list(rows_of(tmp_path))


def test_where_media_begin(tmp_path: Path) -> None:
    assert Origin(tmp_path / "t.csv").media_folder == tmp_path
    assert Origin(tmp_path).media_folder == tmp_path
    assert Origin(tmp_path / "t.csv", image_folder=tmp_path / "c").media_folder == tmp_path / "c"


def test_a_part_is_named_behind_the_path(tmp_path: Path) -> None:
    path = write(tmp_path / "dataset_info.json", "{}")
    assert origin_named(f"{path}#a", prompt="Why?") == Origin(path, part="a", prompt="Why?")
    odd = write(tmp_path / "t#1.csv", "")
    assert origin_named(str(odd)) == Origin(odd)
    absent = f"{tmp_path}/absent#1.csv"
    assert origin_named(absent) == Origin(Path(absent))
