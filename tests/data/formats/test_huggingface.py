"""Rows of Parquet files and saved data sets; videos inside become files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, List, Value, Video

from flipbook.data.formats.containers import rows_of
from flipbook.data.formats.embedded import UNREAD, EmbeddedFiles, ending_of
from flipbook.data.formats.huggingface import class_names, is_data_set_folder
from flipbook.data.formats.origin import Origin
from flipbook.data.json_text import BadRow
from flipbook.errors import ManifestError

MP4 = b"\0\0\0\x18ftypmp42" + b"a" * 40
PNG = b"\x89PNG\r\n\x1a\n" + b"b" * 40
FEATURES = Features(
    {
        "video": Video(decode=False),
        "images": List(Image(decode=False)),
        "question": Value("string"),
        "label": ClassLabel(names=["run", "jump"]),
    }
)
ROWS: dict[str, list[Any]] = {
    "video": [{"bytes": MP4, "path": "x.mp4"}, {"bytes": None, "path": "clips/b.mp4"}],
    "images": [[{"bytes": PNG, "path": None}], []],
    "question": ["Why?", None],
    "label": [1, 0],
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    datasets.disable_progress_bars()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.chdir(tmp_path)  # `datasets` looks for files that are named by a path
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "b.mp4").write_bytes(MP4)
    return Dataset.from_dict(ROWS, features=FEATURES)


def read(path: Path, extracted: Path) -> list[dict[str, Any]]:
    """Rows with the names of extracted files in place of their paths."""
    text = json.dumps([row for _, row in rows_of(path, extracted=extracted)])
    return json.loads(text.replace(f"{extracted}/", "extracted/"))  # type: ignore[no-any-return]


def check_rows(rows: list[dict[str, Any]], extracted: Path, *, second: str | None = None) -> None:
    """All is there. `save_to_disk` takes in the files that are named by a path."""
    names = sorted(path.name for path in extracted.iterdir())
    (mp4,) = [name for name in names if name.endswith(".mp4")]
    (png,) = [name for name in names if name.endswith(".png")]
    clip, picture = f"extracted/{mp4}", f"extracted/{png}"
    assert rows == [
        {"video": clip, "images": [picture], "question": "Why?", "label": "jump"},
        {"video": second or clip, "images": [], "question": None, "label": "run"},
    ]
    assert (extracted / mp4).read_bytes() == MP4
    assert (extracted / png).read_bytes() == PNG
    assert names == sorted([mp4, png])


def test_a_parquet_file(made: Dataset, tmp_path: Path) -> None:
    made.to_parquet(tmp_path / "t.parquet")
    rows = read(tmp_path / "t.parquet", tmp_path / "x")
    check_rows(rows, tmp_path / "x", second="clips/b.mp4")
    assert read(tmp_path / "t.parquet", tmp_path / "x") == rows  # files that are there stay


def test_a_saved_data_set(made: Dataset, tmp_path: Path) -> None:
    made.save_to_disk(tmp_path / "saved")
    check_rows(read(tmp_path / "saved", tmp_path / "x"), tmp_path / "x")


def test_splits_of_a_saved_data_set(made: Dataset, tmp_path: Path) -> None:
    DatasetDict({"train": made, "validation": made}).save_to_disk(tmp_path / "saved")
    rows = read(tmp_path / "saved", tmp_path / "x")
    assert [row["split"] for row in rows] == ["train"] * 2 + ["validation"] * 2
    check_rows([{k: v for k, v in row.items() if k != "split"} for row in rows[2:]], tmp_path / "x")
    assert [number for number, _ in rows_of(tmp_path / "saved")] == [1, 2, 3, 4]


def test_a_folder_of_shards(made: Dataset, tmp_path: Path) -> None:
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for name in ("test-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002"):
        made.to_parquet(tmp_path / "hub" / "data" / f"{name}.parquet")
    rows = read(tmp_path / "hub", tmp_path / "x")
    assert [row["split"] for row in rows] == ["test"] * 2 + ["train"] * 4


def test_several_data_sets_in_a_folder(made: Dataset, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / "hub" / name).mkdir(parents=True)
        made.to_parquet(tmp_path / "hub" / name / "0.parquet")
    with pytest.raises(ManifestError, match="holds several data sets: first, second; name one"):
        list(rows_of(tmp_path / "hub"))


def test_heads_leave_videos_unread(made: Dataset, tmp_path: Path) -> None:
    made.to_parquet(tmp_path / "t.parquet")
    made.save_to_disk(tmp_path / "saved")
    for name, path in (("t.parquet", "clips/b.mp4"), ("saved", "b.mp4")):
        rows = Origin(tmp_path / name).head.rows
        assert [row["video"] for row in rows] == ["x.mp4", path]
        assert [row["label"] for row in rows] == ["jump", "run"]
        assert rows[0]["images"] == [UNREAD]


def test_plain_bytes_and_missing_numbers(tmp_path: Path) -> None:
    table = pa.table({"video": [MP4, b"no video", None], "start": [0.5, None, float("nan")]})
    pq.write_table(table, tmp_path / "t.parquet")
    assert [row for _, row in rows_of(tmp_path / "t.parquet")] == [
        {"video": UNREAD, "start": 0.5},
        {"video": UNREAD, "start": None},
        {"video": UNREAD, "start": None},
    ]
    first, second, third = [row for _, row in rows_of(tmp_path / "t.parquet", extracted=tmp_path)]
    assert Path(first["video"]).read_bytes() == MP4
    assert second == BadRow(
        "holds 8 bytes under 'video' that are no video or picture of a known kind; convert them to "
        "mp4 or png"
    )
    assert third == {"video": None, "start": None}


def test_parts_of_messages_have_no_nulls(tmp_path: Path) -> None:
    content = [{"type": "image", "text": None}, {"type": "text", "text": "Why?"}]
    pq.write_table(pa.table({"messages": [[{"content": content}]]}), tmp_path / "t.parquet")
    (row,) = [row for _, row in rows_of(tmp_path / "t.parquet", extracted=tmp_path)]
    expected = [{"type": "image"}, {"type": "text", "text": "Why?"}]
    assert row == {"messages": [{"content": expected}]}


def test_sound_is_left_alone(tmp_path: Path) -> None:
    files = EmbeddedFiles(tmp_path / "x")
    assert files.without_bytes({"bytes": b"RIFF....WAVE", "path": "a.wav"}, "audio") is None
    assert not (tmp_path / "x").exists()


def test_a_saved_data_set_names_only_files_in_its_folder(made: Dataset, tmp_path: Path) -> None:
    made.save_to_disk(tmp_path / "saved")
    state = tmp_path / "saved" / "state.json"
    for name in ("../x.arrow", "/etc/passwd", "..", 7):
        state.write_text(json.dumps({"_data_files": [{"filename": name}]}), encoding="utf-8")
        with pytest.raises(ManifestError, match="which is no name of a file in its folder"):
            list(rows_of(tmp_path / "saved"))
    state.write_text("{}", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"state\.json: cannot be read .*save the data set"):
        list(rows_of(tmp_path / "saved"))


def test_a_damaged_data_set(made: Dataset, tmp_path: Path) -> None:
    made.save_to_disk(tmp_path / "saved")
    (arrow,) = (tmp_path / "saved").glob("*.arrow")
    arrow.write_bytes(b"no arrow at all")
    with pytest.raises(ManifestError, match="cannot be read as a saved data set"):
        list(rows_of(tmp_path / "saved"))


@pytest.mark.parametrize(
    "metadata", [{}, {b"huggingface": b"{"}, {b"huggingface": b'{"info": []}'}, None]
)
def test_a_schema_without_classes(metadata: dict[bytes, bytes] | None) -> None:
    assert class_names(pa.schema([("a", pa.int64())], metadata=metadata)) == {}


def test_folders_that_are_data_sets(tmp_path: Path) -> None:
    assert not is_data_set_folder(tmp_path)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").touch()
    assert not is_data_set_folder(tmp_path)


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (MP4, ".mp4"),
        (PNG, ".png"),
        (b"\0\0\0\x14ftypqt  ....", ".mov"),
        (b"\0\0\0\x14ftypavif....", ".avif"),
        (b"\0\0\0\x14ftypheic....", None),
        (b"\x1a\x45\xdf\xa3....webm....", ".webm"),
        (b"\x1a\x45\xdf\xa3....matroska", ".mkv"),
        (b"RIFF....AVI LIST", ".avi"),
        (b"RIFF....WEBPVP8 ", ".webp"),
        (b"RIFF....WAVEfmt ", None),
        (b"\xff\xd8\xff\xe0", ".jpg"),
        (b"GIF89a", ".gif"),
        (b"G" + b"\0" * 187 + b"G", ".ts"),
        (b"<html>", None),
        (b"#EXTM3U", None),
        (b"", None),
    ],
)
def test_endings_by_the_first_bytes(data: bytes, ending: str | None) -> None:
    assert ending_of(data) == ending
