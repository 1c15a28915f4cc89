"""A file is divided so that nothing that belongs together is torn apart."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipbook.data.records import read_records
from flipbook.data.splitting import same_content as same_content
from flipbook.data.splitting.groups import join_rows
from flipbook.data.splitting.split import SplitResult, split_manifest
from flipbook.errors import ArgumentError, DataError, ManifestError, MediaError, StorageError


def _row(row_id: str, *clips: str, **more: Any) -> dict[str, Any]:
    parts = [{"type": "video", "path": f"clips/{clip}.mp4"} for clip in clips]
    answer = more.get("answer", "Yes.")
    return {
        "id": row_id,
        "messages": [
            {"role": "user", "content": [*parts, {"type": "text", "text": "What <video>?"}]},
            {"role": "assistant", "content": answer},
        ],
        **more,
    }


def _write(folder: Path, rows: list[dict[str, Any]], *, name: str = "all.jsonl") -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "clips").mkdir(exist_ok=True)
    for row in rows:
        for part in row["messages"][0]["content"]:
            if "path" in part:
                (folder / part["path"]).write_text(part["path"])
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _read(result: SplitResult, **how: Any) -> dict[str, dict[str, Any]]:
    """Return which split each record is in, with its row."""
    found = {}
    for split, path in result.paths.items():
        for record in read_records(path, strict=True, **how).records:
            assert record.extras.split == split
            assert record.id not in found
            found[record.id] = split
    return found


MSR_ROWS = [
    _row(f"{clip}-{number}", f"video{clip}", kind="caption", answer=f"Caption {number}.")
    for clip in range(30)
    for number in range(1 + clip % 7)
]


def test_captions_and_questions_of_a_clip_stay_together(tmp_path: Path) -> None:
    path = _write(tmp_path, MSR_ROWS)
    split_of = _read(split_manifest(path, out=tmp_path / "out", seed=1), image_folder=tmp_path)
    assert len(split_of) == len(MSR_ROWS)
    by_clip = defaultdict(set)
    for name, split in split_of.items():
        by_clip[name.split("-")[0]].add(split)
    assert all(len(splits) == 1 for splits in by_clip.values())
    shares = Counter(split_of.values())
    assert shares["train"] / len(MSR_ROWS) == pytest.approx(0.8, abs=0.05)
    assert shares["test"] / len(MSR_ROWS) == pytest.approx(0.1, abs=0.05)


def test_groups_and_clips_join_over_other_records(tmp_path: Path) -> None:
    rows = [
        _row("one", "a", group="person-1"),
        _row("two", "b", group="person-1"),
        _row("three", "b", "c"),
        _row("four", "c", group="person-2"),
        *[_row(f"other-{number}", f"d{number}") for number in range(8)],
    ]
    path = _write(tmp_path, rows)
    result = split_manifest(path, out=tmp_path / "out", fractions=(0.5, 0.5, 0), seed=3)
    split_of = _read(result, image_folder=tmp_path)
    assert len({split_of[name] for name in ("one", "two", "three", "four")}) == 1
    assert result.num_groups == 9
    by_clip = split_manifest(path, out=tmp_path / "clips_only", by="video")
    assert by_clip.num_groups == 10  # person-1 alone does not join a and b


def test_pictures_belong_to_the_clip_that_is_their_folder(tmp_path: Path) -> None:
    for folder in ("one", "two", "pictures"):
        (tmp_path / folder).mkdir()
        for name in ("1.png", "2.png"):
            (tmp_path / folder / name).write_text(f"{folder} {name}")
    rows = [_row(str(number)) for number in range(6)]
    shown: list[dict[str, Any]] = [
        {"type": "video", "path": "one"},
        {"type": "image", "path": "one/2.png"},
        {"type": "video", "frames": ["two/1.png", "two/2.png"]},
        {"type": "image", "path": "two/2.png"},
        {"type": "image", "path": "pictures/1.png"},
        {"type": "image", "path": "pictures/2.png"},
    ]
    for row, part in zip(rows, shown, strict=True):
        row["messages"][0]["content"].insert(0, part)
    path = tmp_path / "all.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert split_manifest(path, out=tmp_path / "out").num_groups == 4


def test_copies_of_a_clip_under_other_names_stay_together(tmp_path: Path) -> None:
    path = _write(tmp_path, [_row(f"{n}", f"c{n}") for n in range(12)])
    (tmp_path / "clips" / "c7.mp4").write_bytes((tmp_path / "clips" / "c3.mp4").read_bytes())
    for folder, pictures in (("one", "ab"), ("two", "ab"), ("three", "ba")):
        (tmp_path / folder).mkdir()
        for number, letter in enumerate(pictures):
            (tmp_path / folder / f"{number}.png").write_text(letter)
    rows = [_row(folder, "c0") for folder in ("one", "two", "three")]
    for row in rows:
        row["messages"][0]["content"][0] = {"type": "video", "path": row["id"]}
    path.write_text(path.read_text("utf-8") + "\n".join(map(json.dumps, rows)), "utf-8")
    result = split_manifest(path, out=tmp_path / "out", fractions=(0.5, 0.5, 0))
    assert result.num_groups == 13
    split_of = _read(result, image_folder=tmp_path)
    assert split_of["3"] == split_of["7"]
    assert split_of["one"] == split_of["two"]
    by_name = split_manifest(path, out=tmp_path / "names", by_content=False)
    assert by_name.num_groups == 15


def test_only_clips_of_one_size_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path, [_row(name, name) for name in ("a", "b", "cc", "ddd")])
    read = []
    monkeypatch.setattr(same_content, "checked_file", lambda path: read.append(path) or path)
    split_manifest(path, out=tmp_path / "out")
    assert [Path(name).stem for name in read] == ["a", "b"]

    def fail(path: str) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(same_content, "checked_file", fail)
    with pytest.raises(MediaError, match="a.mp4: cannot be read .Input/output error.; copy or"):
        split_manifest(path, out=tmp_path / "new")


def test_every_split_gets_its_share_of_every_task(tmp_path: Path) -> None:
    rows = [
        _row(f"{task}-{number}", f"{task}{number}", task=task)
        for task, count in (("common", 200), ("middle", 40), ("rare", 10))
        for number in range(count)
    ]
    result = split_manifest(_write(tmp_path, rows), out=tmp_path / "out")
    assert result.stratified_by == "task"
    strata = {split: count.strata for split, count in result.counts.items()}
    assert strata == {
        "train": {"common": 160, "middle": 32, "rare": 8},
        "validation": {"common": 20, "middle": 4, "rare": 1},
        "test": {"common": 20, "middle": 4, "rare": 1},
    }
    assert result.notes == ()


def test_many_rare_strata_do_not_all_go_to_train(tmp_path: Path) -> None:
    rows = [_row(f"{n}", f"clip{n}", task=f"task {n // 2}") for n in range(120)]
    result = split_manifest(_write(tmp_path, rows), out=tmp_path / "out")
    records = [count.records for count in result.counts.values()]
    assert records == pytest.approx([96, 12, 12], abs=1)


def test_classes_are_strata_where_all_records_are_classification(tmp_path: Path) -> None:
    options = ["jump", "run"]
    rows = [
        _row(f"{n}", f"c{n}", kind="classification", options=options, answer=options[n % 5 == 0])
        for n in range(100)
    ]
    path = _write(tmp_path, rows)
    result = split_manifest(path, out=tmp_path / "out")
    assert result.stratified_by == "answer"
    assert result.counts["test"].strata == {"jump": 8, "run": 2}
    assert split_manifest(path, out=tmp_path / "b", stratify="none").stratified_by == "none"


def test_the_order_of_rows_and_the_place_do_not_matter_and_the_seed_does(tmp_path: Path) -> None:
    first = _read(
        split_manifest(_write(tmp_path / "a", MSR_ROWS), out=tmp_path / "a"),
    )
    shuffled = random.Random(0).sample(MSR_ROWS, len(MSR_ROWS))
    moved = _write(tmp_path / "elsewhere", shuffled, name="other.jsonl")
    assert _read(split_manifest(moved, out=tmp_path / "elsewhere")) == first
    other = split_manifest(moved, out=tmp_path / "seed", seed=43)
    assert _read(other, image_folder=tmp_path / "elsewhere") != first


def test_the_result_of_a_seed_never_changes(tmp_path: Path) -> None:
    rows = [_row(f"r{n}", f"c{n}") for n in range(10)]
    split_of = _read(split_manifest(_write(tmp_path, rows), out=tmp_path, seed=42))
    outside = {name: split for name, split in split_of.items() if split != "train"}
    assert outside == {"r4": "validation", "r2": "test"}


def test_records_keep_their_split_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    rows = [_row(f"{n}", f"c{n // 2}") for n in range(20)]
    rows[6]["split"] = "val"
    path = _write(tmp_path, rows)
    result = split_manifest(path, out=tmp_path / "out")
    split_of = _read(result, image_folder=tmp_path)
    assert split_of["6"] == split_of["7"] == "validation"
    assert "1 group stayed in the split that its records name" in result.notes[0]
    again = split_manifest(path, out=tmp_path / "new", override=True)
    assert not any("stayed" in note for note in again.notes)


def test_splits_that_tear_a_clip_apart_are_refused_by_name(tmp_path: Path) -> None:
    rows = [_row(f"r{n}", f"c{n // 2}") for n in range(20)]
    rows[6]["split"], rows[7]["split"] = "train", "test"
    path = _write(tmp_path, rows)
    with pytest.raises(ArgumentError, match="record r6 is in train and record r7 in test, and bot"):
        split_manifest(path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert split_manifest(path, out=tmp_path / "out", override=True).num_groups == 10


def test_a_group_larger_than_a_share_goes_to_train_with_a_note(tmp_path: Path) -> None:
    rows = [_row(f"big-{n}", f"b{n}", group="person") for n in range(30)]
    rows += [_row(f"small-{n}", f"s{n}") for n in range(70)]
    result = split_manifest(_write(tmp_path, rows), out=tmp_path / "out")
    split_of = _read(result, image_folder=tmp_path)
    assert {split_of[f"big-{n}"] for n in range(30)} == {"train"}
    assert [count.records for count in result.counts.values()] == [80, 10, 10]
    assert "1 group with more records than the share of a split, up to 30" in result.notes[0]


def test_each_split_gets_a_group_where_there_are_enough(tmp_path: Path) -> None:
    rows = [_row(f"{n}", f"c{n}") for n in range(3)]
    result = split_manifest(_write(tmp_path, rows), out=tmp_path / "out")
    assert [count.groups for count in result.counts.values()] == [1, 1, 1]
    assert "2 groups went to a split that would have been empty" in result.notes[0]


def test_too_few_groups_are_counted(tmp_path: Path) -> None:
    path = _write(tmp_path, [_row(f"{n}", f"c{n % 2}") for n in range(9)])
    expected = "there are 2 groups, too few to fill train, validation, test"
    with pytest.raises(ArgumentError, match=expected):
        split_manifest(path, out=tmp_path / "out")
    two = split_manifest(path, out=tmp_path / "out", fractions=(0.9, 0, 0.1))
    assert sorted(two.paths) == ["test", "train"]


def test_a_split_without_a_stratum_is_told(tmp_path: Path) -> None:
    rows = [_row(f"{n}", f"c{n}", task="rare" if n == 0 else "common") for n in range(20)]
    result = split_manifest(_write(tmp_path, rows), out=tmp_path / "out")
    assert sum("has no record of rare" in note for note in result.notes) == 2


def test_paths_hold_from_the_new_folder_or_from_an_image_folder(tmp_path: Path) -> None:
    path = _write(tmp_path / "data", [_row(f"{n}", f"c{n}") for n in range(5)])
    beside = split_manifest(path, out=tmp_path / "data")
    assert beside.image_folder is None
    assert len(_read(beside)) == 5
    away = split_manifest(path, out=tmp_path / "away")
    assert away.image_folder == tmp_path / "data"
    assert len(_read(away, image_folder=away.image_folder)) == 5
    manifest = tmp_path / "lists" / "all.jsonl"
    manifest.parent.mkdir()
    manifest.write_bytes(path.read_bytes())
    named = split_manifest(manifest, out=tmp_path / "third", image_folder=tmp_path / "data")
    assert named.image_folder == tmp_path / "data"
    assert len(_read(named, image_folder=named.image_folder)) == 5


def test_media_in_several_folders_need_the_one_above_them(tmp_path: Path) -> None:
    path = _write(tmp_path / "a", [_row("x", "1"), _row("y", "2"), _row("z", "3")])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "4.mp4").write_bytes(b"four")
    rows = path.read_text("utf-8").replace("clips/", f"{tmp_path}/a/clips/")
    path.write_text(rows.replace(f"{tmp_path}/a/clips/1.mp4", "4.mp4"), "utf-8")
    result = split_manifest(path, out=tmp_path / "out", image_folder=tmp_path / "b")
    assert result.image_folder == tmp_path
    assert len(_read(result, image_folder=tmp_path)) == 3


def test_all_of_a_record_is_kept(tmp_path: Path) -> None:
    row = _row(
        "ü",
        "a",
        task="when",
        kind="when",
        answer="1 to 2",
        references=["1.0 to 2.0"],
        spans=[[1.0, 2.0]],
        group="g",
        clip={"num_frames": 3},
    )
    row["messages"][0]["content"][0] |= {"start_s": 0.5, "end_s": 4.0}
    path = _write(tmp_path, [row])
    before = read_records(path).records[0]
    result = split_manifest(path, out=tmp_path / "out", fractions=(1, 0, 0))
    after = read_records(result.paths["train"], image_folder=tmp_path).records[0]
    assert after.conversations == before.conversations
    assert vars(after.extras) == vars(before.extras) | {"split": "train"}


def test_nothing_is_written_over_or_left_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path, [_row(f"{n}", f"c{n}") for n in range(5)])
    split_manifest(path, out=tmp_path / "out")
    with pytest.raises(ArgumentError, match=r"train.jsonl: is there already; remove it or name"):
        split_manifest(path, out=tmp_path / "out")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flipbook.data.splitting.writing.os.fsync", fail)
    with pytest.raises(StorageError, match="cannot be written to .No space left on device"):
        split_manifest(path, out=tmp_path / "full")
    assert list((tmp_path / "full").iterdir()) == []
    with pytest.raises(StorageError, match="all.jsonl: cannot be written to .File exists"):
        split_manifest(path, out=path)


def test_a_file_that_changes_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path, [_row(f"{n}", f"c{n}") for n in range(5)])
    monkeypatch.setattr("flipbook.data.splitting.writing.content_hash", lambda _: "another")
    with pytest.raises(ManifestError, match="has changed while it was read; start again"):
        split_manifest(path, out=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_records_that_cannot_be_used_are_refused_or_counted(tmp_path: Path) -> None:
    path = _write(tmp_path, [_row(f"{n}", f"c{n}") for n in range(10)])
    (tmp_path / "clips" / "c3.mp4").unlink()
    with pytest.raises(DataError, match="1 of 10 records cannot be used"):
        split_manifest(path, out=tmp_path / "out")
    result = split_manifest(path, out=tmp_path / "out", max_bad_fraction=0.2)
    assert [error.record_id for error in result.rejected] == ["3"]
    assert sorted(_read(result, image_folder=tmp_path)) == [str(n) for n in range(10) if n != 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fractions": (0.8, 0.1, 0.2)}, "--fractions 0.8 0.1 0.2: give 3 numbers from 0 to 1"),
        ({"fractions": (1.2, -0.1, -0.1)}, "that add up to 1"),
        ({"by": "groups"}, "--by 'groups' is unknown.*Did you mean 'group'"),
        ({"stratify": "tasks"}, "--stratify 'tasks' is unknown.*Did you mean 'task'"),
    ],
)
def test_wrong_arguments_are_told(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    path = _write(tmp_path, [_row("1", "a")])
    with pytest.raises(ArgumentError, match=message):
        split_manifest(path, out=tmp_path / "out", **arguments)


def test_answers_that_are_no_classes_are_no_strata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flipbook.data.splitting.reading.MOST_STRATA", 3)
    path = _write(tmp_path, [_row(f"{n}", f"c{n}", answer=f"a{n}") for n in range(5)])
    with pytest.raises(ArgumentError, match="--stratify answer: there are more than 3 different"):
        split_manifest(path, out=tmp_path / "out", stratify="answer")


def test_joining_gives_the_components_of_random_graphs() -> None:
    generator = np.random.default_rng(0)
    num_rows = 60
    rows = np.concatenate([np.arange(num_rows), generator.integers(0, num_rows, 40)])
    keys = generator.integers(0, 90, len(rows)).astype(np.uint64)
    groups = join_rows(num_rows, edge_rows=rows, edge_keys=keys)
    reached = [{row} for row in range(num_rows)]
    for _ in range(num_rows):  # the slow way: spread along shared keys until nothing changes
        for row, key in zip(rows, keys, strict=True):
            for other in rows[keys == key]:
                reached[row] |= reached[other]
    for row in range(num_rows):
        assert set(np.flatnonzero(groups.numbers == groups.numbers[row])) == reached[row]
        own = np.isin(rows, list(reached[row]))
        assert groups.keys[groups.numbers[row]] == keys[own].min()
