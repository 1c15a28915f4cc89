"""Folders named by classes become questions which class a clip shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures_benchmarks import asked, make_files, outcome, recognised, shown_path
from flipbook.data.formats.classes import is_class_folders, read_class_folders
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.prompts import MANY_CLASSES_PROMPT
from flipbook.errors import ManifestError


def test_each_clip_is_asked_for_its_class(tmp_path: Path) -> None:
    make_files(tmp_path, "jumping_jack/b.mp4", "jumping_jack/a.mov", "push-up/person 1/c.webm")
    make_files(tmp_path, "push-up/notes.txt", "push-up/thumbnail.jpg", "push-up/.DS_Store")
    make_files(tmp_path, "jumping_jack/.hidden.mp4", ".cache/x/d.mp4")
    assert recognised(tmp_path) == ["class_folders"]
    records, errors = outcome(read_class_folders, Origin(tmp_path))
    assert not errors
    assert list(records) == [
        "jumping_jack/a.mov",
        "jumping_jack/b.mp4",
        "push-up/person 1/c.webm",
    ]
    assert [asked(record)[1] for record in records.values()] == [
        "jumping jack",
        "jumping jack",
        "push up",
    ]
    last = records["push-up/person 1/c.webm"]
    assert shown_path(last, tmp_path) == "push-up/person 1/c.webm"
    assert asked(last)[0] == (
        "Which of these does the video show: jumping jack, push up? Answer with one of them."
    )
    assert last.extras.kind == "classification"
    assert last.extras.options == ("jumping jack", "push up")
    assert last.extras.answer == "push up"
    assert (last.extras.group, last.extras.split) == (None, None)


def test_folders_of_splits_stand_over_those_of_classes(tmp_path: Path) -> None:
    make_files(tmp_path, "train/run/a.mp4", "train/walk/b.mp4", "val/run/c.mp4", "Test/jump/d.mp4")
    assert recognised(tmp_path) == ["class_folders"]
    records, errors = outcome(read_class_folders, Origin(tmp_path))
    assert not errors
    splits = {name: record.extras.split for name, record in records.items()}
    assert splits == {
        "train/run/a.mp4": "train",
        "train/walk/b.mp4": "train",
        "val/run/c.mp4": "validation",
        "Test/jump/d.mp4": "test",
    }
    assert {record.extras.options for record in records.values()} == {("jump", "run", "walk")}


def test_a_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    make_files(tmp_path, "car/a.mp4", "train/b.mp4")
    records, _ = outcome(read_class_folders, Origin(tmp_path))
    assert [record.extras.answer for record in records.values()] == ["car", "train"]
    assert {record.extras.split for record in records.values()} == {None}


def test_a_folder_of_pictures_is_a_clip(tmp_path: Path) -> None:
    make_files(tmp_path, "run/one/0001.jpg", "run/one/0002.jpg", "walk/two/1.png", "walk/x.mp4")
    assert recognised(tmp_path) == ["class_folders"]
    records, errors = outcome(read_class_folders, Origin(tmp_path, frames_fps=5.0))
    assert not errors
    assert list(records) == ["run/one", "walk/x.mp4", "walk/two"]
    (clip,) = records["run/one"].media
    assert (clip.kind, clip.path, clip.view.frames_fps) == ("video", str(tmp_path / "run/one"), 5)
    assert records["walk/x.mp4"].media[0].view.frames_fps is None
    without = outcome(read_class_folders, Origin(tmp_path)).records
    assert without["run/one"].media[0].view.frames_fps is None


def test_names_that_say_so_make_groups(tmp_path: Path) -> None:
    make_files(tmp_path, "Archery/v_Archery_g01_c02.avi", "Biking/v_Biking_g25_c01.avi")
    make_files(tmp_path, "Biking/ride_2.avi")
    records, _ = outcome(read_class_folders, Origin(tmp_path))
    groups = [record.extras.group for record in records.values()]
    assert groups == ["v_Archery_g01", None, "v_Biking_g25"]


def test_a_prompt_of_ones_own_is_asked(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.mp4", "b/2.mp4")
    records, _ = outcome(read_class_folders, Origin(tmp_path, prompt="Name the exercise."))
    assert {asked(record)[0] for record in records.values()} == {"Name the exercise."}


def test_many_classes_are_left_out_of_the_question(tmp_path: Path) -> None:
    make_files(tmp_path, *(f"class_{number:02d}/a.mp4" for number in range(51)))
    records, _ = outcome(read_class_folders, Origin(tmp_path))
    first = records["class_00/a.mp4"]
    assert asked(first) == (MANY_CLASSES_PROMPT, "class 00")
    assert len(first.extras.options) == 51


def test_paths_begin_at_the_image_folder(tmp_path: Path) -> None:
    make_files(tmp_path, "set/a/1.mp4", "set/b/2.mp4")
    origin = Origin(tmp_path / "set", image_folder=tmp_path)
    records, _ = outcome(read_class_folders, origin)
    assert shown_path(records["a/1.mp4"], tmp_path) == "set/a/1.mp4"


def test_clips_without_a_class_are_told_of(tmp_path: Path) -> None:
    make_files(tmp_path, "loose.mp4", "a/1.mp4", "b/2.mp4", "frames/1.jpg")
    records, errors = outcome(read_class_folders, Origin(tmp_path))
    assert list(records) == ["a/1.mp4", "b/2.mp4"]
    assert errors == [
        "record loose.mp4: lies in no class folder; move it into the folder of its class",
        "record frames: is a folder of pictures, so it is a clip, and lies in no class folder; put "
        "it into one: class/clip/0001.jpg",
    ]


def test_clips_of_a_split_without_a_class_are_told_of(tmp_path: Path) -> None:
    make_files(tmp_path, "train/a/1.mp4", "train/b/2.mp4", "train/loose.mp4")
    records, errors = outcome(read_class_folders, Origin(tmp_path))
    assert len(records) == 2
    assert errors[0].startswith("record train/loose.mp4: lies in no class folder")


@pytest.mark.parametrize(
    "names",
    [
        ("a.mp4", "b.mp4"),
        ("clip/0001.jpg", "other/0001.jpg"),
        ("train/a.mp4", "test/b.mp4"),
        ("a/notes.txt",),
        ("a/1.mp4", "b/2.mp4", "labels.csv"),
    ],
)
def test_other_folders_are_none_of_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    make_files(tmp_path, *names)
    assert not is_class_folders(Head(tmp_path, ()))


def test_a_file_is_no_folder_of_classes(tmp_path: Path) -> None:
    make_files(tmp_path, "a.mp4")
    assert not is_class_folders(Head(tmp_path / "a.mp4", ()))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a/1.mp4"], "needs two classes or more, and there is only 'a'; make a folder for each"),
        (["1.mp4"], "needs two classes or more, and there is none"),
        (["a_b/1.mp4", "a-b/2.mp4"], "'a-b' and 'a_b' are both the class 'a b' in words"),
        (
            ["train/a/1.mp4", "test/a/2.mp4", "extra/b/3.mp4"],
            "test, train are the names of splits, and extra lie beside them",
        ),
    ],
)
def test_what_makes_no_classification_is_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    make_files(tmp_path, *names)
    with pytest.raises(ManifestError, match=message):
        list(read_class_folders(Origin(tmp_path)))


def test_a_name_that_cannot_be_printed_is_told_of(tmp_path: Path) -> None:
    make_files(tmp_path, "a/1.mp4", "b/2.mp4", "b/two\nlines.mp4")
    try:
        os.rename(os.fsencode(tmp_path / "b/2.mp4"), os.fsencode(tmp_path / "b") + b"/\xff.mp4")
    except OSError:
        pytest.skip("this file system keeps names as text")
    records, errors = outcome(read_class_folders, Origin(tmp_path))
    assert list(records) == ["a/1.mp4"]
    assert errors == [
        "record 'b/two\\nlines.mp4': its name cannot be printed on a line; rename it",
        "record 'b/\\udcff.mp4': its name cannot be printed on a line; rename it",
    ]
