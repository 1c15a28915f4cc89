"""Which data sets a run reads, and how each is read, is told in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures_table import encoder, row, write
from flipbook.data.records import read_records
from flipbook.data.sources import Source, read_mixture, sources_of
from flipbook.data.tables.opening import open_table
from flipbook.errors import ArgumentError
from flipbook.video.view import View


def mixture(folder: Path, *datasets: Any, **more: Any) -> Path:
    path = folder / "mixture.yaml"
    path.write_text(yaml.safe_dump({"datasets": list(datasets), **more}))
    return path


def test_a_mixture_lists_data_sets(tmp_path: Path) -> None:
    path = mixture(
        tmp_path,
        {"path": "a.jsonl", "weight": 2, "num_video_frames": 16, "frame_sampler": "fps"},
        {"path": "b.csv", "image_folder": "clips", "map": {"video": "file"}, "format": "columns"},
    )
    first, second = sources_of([str(path)], image_folder="/media")
    assert first == Source(
        str(tmp_path / "a.jsonl"), "/media", 2, View(num_frames=16, sampler="fps")
    )
    assert second.image_folder == str(tmp_path / "clips")
    assert (second.format_name, second.columns) == ("columns", (("video", "file"),))
    assert sources_of("c.json", image_folder=None) == (Source("c.json"),)
    told = Source("", prompt="Why?", format_name="llava", view=View(frame_size=64, num_frames=2))
    filled = first.filled_from(told)
    assert (filled.prompt, filled.format_name) == ("Why?", "llava")
    assert filled.view == View(num_frames=16, sampler="fps", frame_size=64)
    assert second.filled_from(told).format_name == "columns"


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ([], "is no mixture; it must hold a list under 'datasets'"),
        (["a.json"], "data set 1: must be an object with a 'path'; it is 'a.json'"),
        ([{"path": "a"}, {"path": "b", "wieght": 2}], "data set 2: unknown key 'wieght'.*'weight'"),
        ([{"path": "a", "weight": 0}], "data set 1: .*a: weight is 0; .*a number above 0"),
        ([{"path": "a", "weight": "2"}], "weight is '2'"),
        ([{"path": "a", "weight": float("inf")}], "weight is inf"),
        ([{"path": "a", "map": "video=x"}], "'map' must be an object"),
        ([{"path": "a", "frames_fps": 0}], "frames_fps is 0: give a number above 0"),
    ],
)
def test_what_is_no_mixture_is_refused(datasets: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=f"mixture.yaml.*{message}"):
        read_mixture(mixture(tmp_path, *datasets), image_folder=None)


def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    path = mixture(tmp_path, {"path": "a"}, weights=[1])
    with pytest.raises(ArgumentError, match="unknown key 'weights' beside 'datasets'"):
        read_mixture(path, image_folder=None)
    path.write_text("datasets: [")
    with pytest.raises(ArgumentError, match="cannot be read as a mixture"):
        read_mixture(path, image_folder=None)
    with pytest.raises(ArgumentError, match="nowhere.yaml: cannot be read as a mixture"):
        read_mixture(tmp_path / "nowhere.yaml", image_folder=None)


def test_each_data_set_has_its_own_frames_sides_and_folder(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("a.mp4", "clips/a.mp4"):
        (tmp_path / name).write_bytes(b"x")
    question = ("<video>\nWhat moves?", "A ball.")
    one = write(tmp_path / "one.json", [row("x", *question, video="a.mp4")])
    own = row("z", *question, video="a.mp4") | {"clip": {"num_frames": 3}}
    two = write(tmp_path / "two.json", [row("y", *question, video="a.mp4"), own])
    sources = [
        Source(one),
        Source(two, str(tmp_path / "clips"), view=View(num_frames=4, frame_size=192)),
    ]
    table = open_table(
        sources, image_folder=None, encoder=encoder(), cache_folder=tmp_path / "cache"
    )
    assert table.source_of.tolist() == [0, 1, 1]
    assert table.num_frames.tolist() == [2, 4, 3]
    assert table.frame_size.tolist() == [128, 192, 192]
    assert table.num_tokens[1] - table.num_tokens[2] == 9 + 1
    assert [Path(table[i].turns[0].media[0].path).parent.name for i in (0, 1)] == [
        tmp_path.name,
        "clips",
    ]
    assert len(set(table.clips.tolist())) == 3
    again = open_table(
        [sources[0], Source(two, str(tmp_path / "clips"), view=View(num_frames=1))],
        image_folder=None,
        encoder=encoder(),
        cache_folder=tmp_path / "cache",
    )
    assert again.num_frames.tolist() == [2, 1, 3]
    (record, _) = read_records(two, image_folder=tmp_path / "clips", view=sources[1].view).records
    assert record.media[0].view == View(num_frames=4, frame_size=192)
