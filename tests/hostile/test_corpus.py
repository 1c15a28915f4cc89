"""Every file of the corpus gives exactly its frames, or an error of one line that names it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures_data import Tune
from fixtures_doctor import read_lines, row, write_rows
from fixtures_hostile import DAMAGED, ODD, PICTURES_REFUSED, REFUSED, UNPRINTABLE, Odd
from fixtures_video import number_of
from flipbook.cli import main
from flipbook.errors import DataError, MediaError
from flipbook.video import probe, read_clip
from flipbook.video.frames import image_pixels

pytestmark = pytest.mark.guarantee(7)
READS: dict[str, Callable[[str], Any]] = {"read_clip": read_clip, "probe": probe}
OUTSIDE = ("link-out.mp4", "folder-out/secret.mp4", "../out/secret.mp4", "plain.mp4/../../x.mp4")


def path_of(corpus: Path, name: str) -> str:
    """Where a file of the corpus lies; an address is no place in a folder."""
    return name if "://" in name else os.path.join(corpus, name)


def numbers(path: str) -> list[int]:
    """What the pictures of a clip say."""
    return [number_of(frame.permute(1, 2, 0).numpy()) for frame in read_clip(path).frames]


@pytest.mark.parametrize("name", [*ODD, *UNPRINTABLE], ids=ascii)
def test_what_is_sound_gives_the_frames_that_it_shows(corpus: Path, name: str) -> None:
    expected = ODD.get(name, Odd(0, 7))
    seen = numbers(path_of(corpus, name))
    assert (seen[0], seen[-1]) == (expected.first, expected.last)
    assert seen == sorted(seen)
    info = probe(path_of(corpus, name))
    assert (info.width, info.height) == expected.size


def test_time_counts_and_not_the_number_of_a_frame(corpus: Path) -> None:
    seen = numbers(path_of(corpus, "variable-rate.mp4"))
    assert seen.count(4) > 2  # shown from 0.51 s to 1.40 s of 1.5 s
    clip = read_clip(path_of(corpus, "two-hours.mp4"), num_frames=3)
    assert clip.times_s[-1] == pytest.approx(7200, abs=1)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_all_else_is_an_error_that_names_the_file(corpus: Path, name: str, read: str) -> None:
    path = path_of(corpus, name)
    with pytest.raises(MediaError, match=REFUSED[name]) as caught:
        READS[read](path)
    assert caught.value.path == path
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", PICTURES_REFUSED)
def test_pictures_that_are_none_or_too_large(corpus: Path, name: str) -> None:
    with pytest.raises(MediaError, match=PICTURES_REFUSED[name]) as caught:
        image_pixels(corpus / name)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", DAMAGED)
def test_a_flipped_bit_never_gives_another_frame(corpus: Path, name: str) -> None:
    try:
        seen = numbers(path_of(corpus, name))
    except MediaError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert seen == list(range(8))


@pytest.fixture(scope="module")
def manifest(corpus: Path) -> Path:
    """A row for each video of the corpus, by its name, and rows that lead outside."""
    names = [*ODD, *REFUSED, *DAMAGED, *UNPRINTABLE, *OUTSIDE]
    rows = [row(f"r{number}", name, f"It is {number}.") for number, name in enumerate(names)]
    rows += [row(f"p{number}", name) for number, name in enumerate(PICTURES_REFUSED)]
    return write_rows(corpus / "rows.jsonl", rows)


@pytest.mark.slow
def test_the_doctor_finds_all_of_them(corpus: Path, manifest: Path, tmp_path: Path) -> None:
    words = ["data", "check", str(manifest), "--out", str(tmp_path / "out")]
    assert main([*words, "--num_workers", "1", "--max_bad_fraction", "0.99"]) == 0
    faults = {line["id"]: line for line in read_lines(tmp_path / "out" / "quarantine.jsonl")}
    clean = {line["id"] for line in read_lines(tmp_path / "out" / "rows.jsonl")}
    for line in read_lines(manifest):
        name, found = line.get("video") or line["image"], faults.get(line["id"])
        if name in (*REFUSED, *PICTURES_REFUSED, *OUTSIDE):
            assert found is not None, name
            assert found["code"] not in ("crashed", "hanging", "memory"), found
        elif name in (*ODD, *UNPRINTABLE) and name != "one-frame.mp4":
            assert line["id"] in clean, (name, found)
    assert faults["r2"]["code"] == "one_frame"


@pytest.mark.slow
def test_a_run_trains_on_what_is_sound(corpus: Path, tune: Tune, tmp_path: Path) -> None:
    rows = [row(f"r{number}", name) for number, name in enumerate(ODD)]
    manifest = write_rows(corpus / "sound.jsonl", rows)
    result = tune(data_path=manifest, num_train_epochs=1, max_steps=-1)
    assert result.run_folder.is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OUTSIDE, "cut.mkv", "device.mp4", "bomb.mp4", "list.mp4"])
def test_a_run_names_what_is_not(corpus: Path, tune: Tune, name: str) -> None:
    rows = [row("good", "plain.mp4"), row("bad", name)]
    manifest = write_rows(corpus / "bad.jsonl", rows)
    with pytest.raises(DataError, match=re.escape(Path(name).name)):
        tune(data_path=manifest, max_bad_fraction=0.0)
