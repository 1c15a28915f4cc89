"""Any format becomes rows of our own, which can be read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Video

from fixtures_benchmarks import make_files, write_json
from flipbook.data.converting.convert import convert
from flipbook.data.converting.converted import Converted
from flipbook.data.converting.needed import convert_if_needed
from flipbook.data.formats.origin import Origin
from flipbook.data.records import Record, read_records
from flipbook.data.sources import Source
from flipbook.errors import ArgumentError, DataError, ManifestError, StorageError
from flipbook.video.view import View

TABLE = "video,question,answer\nclips/a.mp4,What moves?,A ball.\nclips/b.mp4,Why?,Rain.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    make_files(data, "clips/a.mp4", "clips/b.mp4", "f/1.jpg", "f/2.jpg")
    (data / "t.csv").write_text(TABLE, encoding="utf-8")
    return data


def read_again(converted: Converted) -> list[Record]:
    """The written records, read with what the report says."""
    found = read_records(converted.path, image_folder=converted.image_folder)
    assert not found.rejected
    return list(found.records)


def rows_of_file(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def paths_in(converted: Converted) -> list[str]:
    parts = [row["messages"][0]["content"][0] for row in rows_of_file(converted.path)]
    return [part.get("path") or part["frames"][0] for part in parts]


def table(folder: Path, text: str) -> Origin:
    (folder / "t.csv").write_text(f"video,question,answer\n{text}", encoding="utf-8")
    return Origin(folder / "t.csv")


def test_rows_of_our_own(folder: Path) -> None:
    converted = convert(Origin(folder / "t.csv"), format_name=None, out=folder / "t.jsonl")
    first, second = rows_of_file(folder / "t.jsonl")
    assert first == {
        "id": "t.csv:1",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "video", "path": "clips/a.mp4"},
                    {"type": "text", "text": "What moves?"},
                ],
            },
            {"role": "assistant", "content": "A ball."},
        ],
        "kind": "open",
    }
    assert second["id"] == "t.csv:2"
    assert (converted.format_name, converted.num_records) == ("columns", 2)
    assert not converted.rejected
    assert converted.rejected_path is None
    assert converted.samples == (
        "t.csv:1 (open)\n  video      clips/a.mp4\n  user       What moves?\n  assistant  A ball.",
        "t.csv:2 (open)\n  video      clips/b.mp4\n  user       Why?\n  assistant  Rain.",
    )
    assert [record.id for record in read_again(converted)] == ["t.csv:1", "t.csv:2"]
    assert sorted(path.name for path in folder.iterdir()) == ["clips", "f", "t.csv", "t.jsonl"]


def test_a_record_survives_being_written_twice(folder: Path) -> None:
    first = convert(Origin(folder / "t.csv"), format_name=None, out=folder / "t.jsonl")
    second = convert(Origin(first.path), format_name=None, out=folder / "again.jsonl")
    assert second.format_name == "messages"
    assert second.path.read_bytes() == first.path.read_bytes()


def test_what_a_user_typed_is_no_placeholder_afterwards(folder: Path) -> None:
    content = [
        {"type": "video", "path": "clips/a.mp4"},
        {"type": "text", "text": "Is <image> odd?"},
    ]
    said = [{"role": "user", "content": content}, {"role": "assistant", "content": "Yes."}]
    path = write_json(folder / "m.json", [{"messages": said}])
    converted = convert(Origin(path), format_name=None, out=folder / "m.jsonl")
    (record,) = read_again(converted)
    assert record.conversations[0][0].text == "Is <image> odd?"
    assert len(record.media) == 1


@pytest.mark.parametrize(
    ("out", "image_folder", "paths", "needed"),
    [
        ("data/t.jsonl", None, ["clips/a.mp4", "clips/b.mp4"], None),
        ("data/t.jsonl", "data", ["clips/a.mp4", "clips/b.mp4"], None),
        ("t.jsonl", None, ["data/clips/a.mp4", "data/clips/b.mp4"], None),
        ("data/new/t.jsonl", None, ["clips/a.mp4", "clips/b.mp4"], "data"),
        ("elsewhere/t.jsonl", "data", ["clips/a.mp4", "clips/b.mp4"], "data"),
    ],
)
def test_paths_can_be_read_again(
    out: str, image_folder: str | None, paths: list[str], needed: str | None, tmp_path: Path
) -> None:
    make_files(tmp_path, "data/clips/a.mp4", "data/clips/b.mp4")
    (tmp_path / "data" / "t.csv").write_text(TABLE, encoding="utf-8")
    named = None if image_folder is None else tmp_path / image_folder
    origin = Origin(tmp_path / "data" / "t.csv", image_folder=named)
    converted = convert(origin, format_name=None, out=tmp_path / out)
    assert paths_in(converted) == paths
    assert converted.image_folder == (None if needed is None else tmp_path / needed)
    seen = [record.media[0].path for record in read_again(converted)]
    assert seen == [str(tmp_path / "data" / "clips" / name) for name in ("a.mp4", "b.mp4")]


def test_media_here_and_there_are_named_in_full(tmp_path: Path) -> None:
    make_files(tmp_path, "lists/a.mp4", "media/b.mp4", "out/x")
    path = tmp_path / "lists" / "t.csv"
    text = f"video,question,answer\nb.mp4,Why?,Rain.\n{tmp_path}/lists/a.mp4,Why?,Snow.\n"
    path.write_text(text, encoding="utf-8")
    origin = Origin(path, image_folder=tmp_path / "media")
    converted = convert(origin, format_name=None, out=tmp_path / "out" / "t.jsonl")
    assert paths_in(converted) == [f"{tmp_path}/media/b.mp4", f"{tmp_path}/lists/a.mp4"]
    assert converted.image_folder == tmp_path
    assert len(read_again(converted)) == 2


def test_names_are_made_different(folder: Path) -> None:
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]
    ids = ["a", None, "a", 7, "a#2", "7", "a", ""]
    path = write_json(folder / "m.json", [{"id": name, "messages": said} for name in ids])
    converted = convert(Origin(path), format_name=None, out=folder / "m.jsonl")
    names = [row["id"] for row in rows_of_file(converted.path)]
    assert names == ["a", "m.json:2", "a#2", "7", "a#2#2", "7#2", "a#3", "m.json:8"]
    assert [record.id for record in read_again(converted)] == names


def test_bad_rows_stand_beside(folder: Path) -> None:
    origin = table(folder, "clips/a.mp4,Why?,Rain.\nclips/c.mp4,Why?,Rain.\nx\n")
    out = folder / "t.jsonl"
    converted = convert(origin, format_name=None, out=out, max_bad_fraction=0.7)
    assert converted.num_records == 1
    assert len(converted.rejected) == 2
    assert converted.rejected_path == folder / "t.rejected.jsonl"
    first, second = rows_of_file(folder / "t.rejected.jsonl")
    assert first["id"] == "t.csv:2"
    assert first["reason"].startswith(f"{folder}/clips/c.mp4: does not exist; check the path")
    assert second == {
        "id": "t.csv:3",
        "reason": "has 1 fields where the first line names 3; mend it",
    }
    told = converted.told()
    assert "1 record written to" in told
    assert f"2 left out, each with its reason in {folder}/t.rejected.jsonl:" in told
    assert "record t.csv:3: has 1 fields" in told


def test_too_many_bad_rows_leave_things_as_they_were(folder: Path) -> None:
    out = folder / "t.jsonl"
    out.write_text("as before", encoding="utf-8")
    origin = table(folder, "clips/a.mp4,Why?,Rain.\nclips/c.mp4,Why?,Rain.\n")
    with pytest.raises(DataError) as caught:
        convert(origin, format_name=None, out=out, max_bad_fraction=0.4)
    message = str(caught.value)
    assert "1 of 2 records cannot be used (50.0%, allowed are 40.0%)" in message
    assert f"All reasons are in {folder}/t.rejected.jsonl." in message
    assert out.read_text(encoding="utf-8") == "as before"
    assert len(rows_of_file(folder / "t.rejected.jsonl")) == 1
    origin = table(folder, "clips/a.mp4,Why?,Rain.\n")
    convert(origin, format_name=None, out=out)
    assert not (folder / "t.rejected.jsonl").exists()
    assert not list(folder.glob(".*"))


def test_a_file_without_rows(folder: Path) -> None:
    with pytest.raises(ManifestError, match=r"t\.csv: holds no records; is it the right file\?"):
        convert(table(folder, ""), format_name="messages", out=folder / "t.jsonl")
    assert not (folder / "t.jsonl").exists()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("t.csv", "must end in .jsonl; name such a file"),
        ("new.json", "must end in .jsonl; name such a file"),
        ("a.jsonl", "is a folder; name a file in it"),
        ("own.jsonl", "is the file that is read; name another"),
        ("t.csv/x.jsonl", "x.jsonl cannot be written ([Errno"),
    ],
)
def test_where_nothing_can_be_written(out: str, message: str, folder: Path) -> None:
    (folder / "a.jsonl").mkdir()
    write_json(folder / "own.jsonl", {"messages": []})
    source = folder / ("own.jsonl" if out == "own.jsonl" else "t.csv")
    kind = StorageError if "cannot be written" in message else ArgumentError
    with pytest.raises(kind) as caught:
        convert(Origin(source), format_name=None, out=folder / out)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"prompt": "Why?"}, "--prompt is not followed by the format messages (OpenAI, Qwen,"),
        ({"answers": Path("a.json")}, "--answers is not followed by the format messages"),
        ({"part": "x"}, "#x is not followed by the format messages"),
        ({"columns": {"video": "a"}}, "--map is not followed by the format messages"),
    ],
)
def test_what_a_format_does_not_follow_is_refused(
    said: dict[str, Any], message: str, folder: Path
) -> None:
    path = write_json(folder / "m.json", [{"messages": []}])
    with pytest.raises(ArgumentError) as caught:
        convert(Origin(path, **said), format_name="messages", out=folder / "m.jsonl")
    assert message in str(caught.value)
    assert "leave it out, or name another --format: " in str(caught.value)


def test_pictures_get_their_rate(folder: Path) -> None:
    rows = [
        {"video": ["f/1.jpg", "f/2.jpg"]},
        {"video": "f"},
        {"video": "clips/a.mp4"},
        {"video": {"path": "f", "frames_fps": 5}},
    ]
    said = [{"role": "user", "content": "<video>Why?"}, {"role": "assistant", "content": "Yes."}]
    rows[0]["video"] = [rows[0]["video"]]  # type: ignore[list-item]
    path = write_json(folder / "m.json", [row | {"messages": said} for row in rows])
    origin = Origin(path, frames_fps=2.0)
    converted = convert(origin, format_name=None, out=folder / "m.jsonl")
    views = [record.media[0].view for record in read_again(converted)]
    assert views == [View(frames_fps=2.0), View(frames_fps=2.0), View(), View(frames_fps=5)]


def test_clips_inside_the_file_lie_beside_it_afterwards(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets.disable_progress_bars()
    clip = b"\0\0\0\x18ftypmp42" + b"a" * 40
    features = Features({"video": Video(decode=False), "label": ClassLabel(names=["run", "jump"])})
    values = {"video": [{"bytes": clip, "path": None}] * 2, "label": [0, 1]}
    Dataset.from_dict(values, features=features).save_to_disk(folder / "saved")
    out = tmp_path / "out" / "t.jsonl"
    converted = convert(Origin(folder / "saved"), format_name=None, out=out)
    (file,) = (tmp_path / "out" / "t_media").iterdir()
    assert file.read_bytes() == clip
    assert paths_in(converted) == [f"t_media/{file.name}"] * 2
    assert converted.image_folder is None
    records = read_again(converted)
    assert [record.extras.answer for record in records] == ["run", "jump"]
    assert {record.extras.kind for record in records} == {"classification"}


def test_messages_in_parquet(folder: Path) -> None:
    parts = [{"type": "video", "text": None}, {"type": "text", "text": "Why?"}]
    answer = [{"type": "text", "text": "Rain."}]
    said = [{"role": "user", "content": parts}, {"role": "assistant", "content": answer}]
    table = pa.table({"messages": [said], "videos": [["clips/a.mp4"]]})
    pq.write_table(table, folder / "m.parquet")
    converted = convert(Origin(folder / "m.parquet"), format_name=None, out=folder / "m.jsonl")
    assert converted.format_name == "messages"
    assert paths_in(converted) == ["clips/a.mp4"]


@pytest.mark.parametrize("key", ["conversations", "messages"])
def test_native_rows_need_no_conversion(key: str, folder: Path) -> None:
    path = write_json(folder / "m.json", [{key: [{"from": "human", "value": "Hi"}]}])
    if key == "messages":
        write_json(path, [{key: [{"role": "user", "content": "Hi"}]}])
    assert convert_if_needed(str(path), out_folder=folder / "out") is None
    assert convert_if_needed(Source(str(path)), out_folder=folder / "out") is None
    assert not (folder / "out").exists()


@pytest.mark.parametrize("content", ["", None])
def test_what_is_no_json_is_left_to_its_reader(content: str | None, folder: Path) -> None:
    path = folder / "m.jsonl"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert convert_if_needed(str(path), out_folder=folder / "out") is None


def test_other_files_are_written_with_paths_in_full(folder: Path, tmp_path: Path) -> None:
    source = Source(str(folder / "t.csv"))
    converted = convert_if_needed(source, out_folder=tmp_path / "run")
    assert converted is not None
    assert converted.path == tmp_path / "run" / "t.jsonl"
    assert converted.image_folder == folder
    assert paths_in(converted) == [f"{folder}/clips/a.mp4", f"{folder}/clips/b.mp4"]
    assert len(read_again(converted)) == 2
    told = converted.told()
    assert "columns (guessed; say it with --map): video=video,question=question" in told
    assert f"Train on it with --data_path {tmp_path}/run/t.jsonl --image_folder {folder}" in told


def test_a_source_says_how_it_is_read(folder: Path, tmp_path: Path) -> None:
    (folder / "t.csv").write_text("p,c\nf,x\n", encoding="utf-8")
    source = Source(
        str(folder / "t.csv"),
        image_folder=str(folder),
        view=View(frames_fps=3.0),
        columns=(("video", "p"), ("answer", "c")),
        prompt="What is seen?",
    )
    converted = convert_if_needed(source, out_folder=tmp_path / "run")
    assert converted is not None
    (record,) = read_again(converted)
    assert record.conversations[0][0].text == "What is seen?"
    assert record.media[0].view == View(frames_fps=3.0)


def test_names_of_files_that_are_no_text_are_refused(folder: Path) -> None:
    name = "odd\udcff.mp4"
    make_files(folder, name)
    said = [{"role": "user", "content": "<video>Why?"}, {"role": "assistant", "content": "Yes."}]
    rows = [{"messages": said, "video": video} for video in (name, "clips/a.mp4")]
    path = write_json(folder / "m.json", rows)
    converted = convert(
        Origin(path), format_name=None, out=folder / "m.jsonl", max_bad_fraction=0.5
    )
    assert converted.num_records == 1
    assert converted.rejected[0].message == (
        "names a file that is no text in UTF-8; rename the file"
    )
