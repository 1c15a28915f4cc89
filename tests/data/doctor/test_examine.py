"""What is wrong with a file is found by reading it, and has its name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fixtures_doctor import SETTINGS
from fixtures_video import MakeClip, numbered_picture, run_ffmpeg
from flipbook.data.doctor import examine as examining
from flipbook.data.doctor.examine import Examined, examine
from flipbook.data.turns import Media
from flipbook.video.view import View

FASTSTART = "-c:v libx264 -g 10 -pix_fmt yuv420p -movflags +faststart"
NO_LOSS = "-c:v libx264 -g 10 -qp 0 -pix_fmt yuv420p"


def look(path: Path, *, kind: Any = "video", **view: Any) -> Examined:
    item = Media(kind, str(path), view=View(**view))
    return examine(item, settings=SETTINGS, contents_folder=path.parent / "contents")


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sound(path: Path) -> Path:
    run_ffmpeg("-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "aac", path)
    return path


def rare(path: Path) -> Path:
    source = ["-f", "lavfi", "-i", "testsrc=size=64x64:duration=0.2"]
    run_ffmpeg(*source, "-c:v", "zmbv", "-f", "avi", path)
    return path


def picture(path: Path, size: tuple[int, int] = (96, 72), **how: Any) -> Path:
    Image.fromarray(numbered_picture(3, width=size[0], height=size[1])).save(path, **how)
    return path


def pictures(folder: Path, number: int) -> Path:
    folder.mkdir()
    for place in range(number):
        Image.fromarray(numbered_picture(place)).save(folder / f"{place}.png")
    return folder


def cut(path: Path, make_clip: MakeClip) -> Path:
    content = make_clip("whole.mp4", options=FASTSTART).read_bytes()
    return write(path, content[: len(content) * 8 // 10])


def holes(path: Path, make_clip: MakeClip) -> Path:
    content = bytearray(make_clip("large.mp4", options=NO_LOSS).read_bytes())
    start = content.index(b"mdat") + 1000
    content[start : start + 3000] = bytes(3000)
    return write(path, bytes(content))


BAD_FILES: dict[str, tuple[Callable[[Path, MakeClip], Path], str, str]] = {
    "web page": (lambda p, _: write(p, b"<!DOCTYPE html><html>"), "wrong_type", "a web page"),
    "picture": (lambda p, _: picture(p, format="PNG"), "wrong_type", "a PNG picture"),
    "playlist": (lambda p, _: write(p, b"#EXTM3U\n/etc/passwd\n"), "wrong_type", "a playlist"),
    "pointer": (lambda p, _: write(p, b"version https://git-lfs"), "wrong_type", "git lfs pull"),
    "sound": (lambda p, _: sound(p), "audio_only", "only sound"),
    "codec": (lambda p, _: rare(p), "wrong_type", "is coded as zmbv"),
    "noise": (lambda p, _: write(p, bytes(range(256)) * 9), "unreadable", "cannot be read as a"),
    "cut": (cut, "truncated", r"30 frames declared, \d+ decodable"),
    "holes": (holes, "damaged", "damaged"),
    "one frame": (lambda _, make: make("one.mp4", num_frames=1), "one_frame", "holds one frame"),
    "empty": (lambda p, _: write(p, b""), "empty", "0 bytes"),
    "gone": (lambda p, _: p, "missing", "does not exist"),
    "folder": (lambda p, _: pictures(p, 0), "empty", "a folder without pictures"),
    "lone picture": (lambda p, _: pictures(p, 1), "one_frame", "holds one frame"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_videos(name: str, make_clip: MakeClip, tmp_path: Path) -> None:
    make, code, words = BAD_FILES[name]
    path = make(tmp_path / "bad.mp4", make_clip)
    fault = look(path).fault
    assert fault is not None
    assert (fault.code, fault.path) == (code, str(path))
    assert re.search(words, fault.reason), fault.reason


def test_bad_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = look(write(tmp_path / "noise.png", b"no picture"), kind="image").fault
    assert noise is not None and noise.code == "wrong_type"
    monkeypatch.setattr("flipbook.video.frames.MAX_IMAGE_PIXELS", 96 * 72 - 1)
    large = look(picture(tmp_path / "large.png"), kind="image").fault
    assert large is not None and large.code == "too_large"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    bomb = look(picture(tmp_path / "bomb.png"), kind="image").fault
    assert bomb is not None and bomb.code == "too_large" and "bomb" in bomb.reason


def test_large_videos(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip("plain.mp4")
    monkeypatch.setattr("flipbook.video.opening.MAX_FRAME_PIXELS", 96 * 72 - 1)
    fault = look(path).fault
    assert fault is not None and fault.code == "too_large"


def test_a_sound_video(make_clip: MakeClip, tmp_path: Path) -> None:
    path = Path(shutil.copy(make_clip("plain.mp4"), tmp_path / "plain.mp4"))
    found = look(path)
    assert (found.fault, found.notes, found.num_frames) == (None, (), 2)
    assert found.num_bytes == path.stat().st_size
    assert found.info is not None and (found.info.width, found.info.num_frames) == (96, 30)
    again = look(Path(shutil.copy(path, tmp_path / "copy.mp4")))
    assert again.content == found.content is not None


def test_what_was_found_can_be_written_down(make_clip: MakeClip, tmp_path: Path) -> None:
    short = look(make_clip("short.mp4", num_frames=3), num_frames=5)
    for found in (short, look(tmp_path / "gone.mp4"), Examined()):
        assert Examined.from_dict(json.loads(json.dumps(found.as_dict()))) == found


def note_of(found: Examined) -> tuple[str, str]:
    assert found.fault is None
    (note,) = found.notes
    return note.code, note.reason


def test_notes_do_no_harm(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = make_clip("plain.mp4")
    uneven = make_clip("uneven.mp4", num_frames=4, times_ms=(0, 10, 300, 310))
    code, reason = note_of(look(uneven))
    assert code == "variable_rate" and "variable rate" in reason
    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", "90", "-i", plain, "-c", "copy", turned)
    code, reason = note_of(look(turned))
    assert code == "rotated" and "270 degrees" in reason
    code, reason = note_of(look(make_clip("short.mp4", num_frames=3), num_frames=5))
    assert code == "repeated_frames" and "gives 3 frames where 5 are asked for" in reason
    monkeypatch.setattr(examining, "VERY_LONG_S", 0.5)
    code, reason = note_of(look(plain))
    assert code == "very_long" and "show stretches" in reason


def test_instants_that_a_record_names_twice_are_no_note(make_clip: MakeClip) -> None:
    found = look(make_clip("plain.mp4"), times_s=(0.1, 0.1, 0.2))
    assert (found.num_frames, found.notes) == (3, ())


def test_a_stretch_behind_the_end_is_the_records_fault(make_clip: MakeClip) -> None:
    found = look(make_clip("plain.mp4"), start_s=5.0)
    assert found.fault is not None and found.fault.code == "outside_clip"
    assert found.content is not None  # the file itself is sound


def test_folders_of_pictures(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "frames", 4)
    found = look(folder)
    assert (found.fault, found.num_frames, found.info) == (None, 2, None)
    listed = Media("video", str(folder), tuple(str(folder / f"{n}.png") for n in range(4)))
    again = examine(listed, settings=SETTINGS, contents_folder=tmp_path / "contents")
    assert again.content == found.content and again.num_bytes == found.num_bytes
    fault = look(folder, start_s=1.0).fault
    assert fault is not None and fault.code == "no_rate"


def test_a_file_that_the_disk_does_not_give(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(examining, "probe", refuse)
    fault = look(make_clip("plain.mp4")).fault
    assert fault is not None and fault.code == "unreadable"
    assert "Input/output error" in fault.reason
