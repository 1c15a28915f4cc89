"""Is everything that is no whole, harmless, local video refused by name, with advice?"""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from PIL import Image

from fixtures_video import MakeClip, numbered_picture, run_ffmpeg
from flipbook.errors import MediaError
from flipbook.video import load_video_frames, opening, probe, read_clip, read_image

READERS: list[Callable[[str], object]] = [
    read_clip,
    probe,
    load_video_frames,
    lambda path: read_image(path, frame_size=64),
]

ADDRESSES = [
    "http://127.0.0.1:1/clip.mp4",
    "https://example.org/clip.mp4",
    "rtsp://127.0.0.1/clip.mp4",
    "file:///etc/passwd.mp4",
    "concat:a.mp4|b.mp4",
    "pipe:0",
    "data:video/mp4;base64,AAAA",
    "subfile,,start,0,end,9,,:clip.mp4",
]


def refusal(path: Path | str, message: str) -> None:
    with pytest.raises(MediaError, match=message) as caught:
        read_clip(path)
    assert caught.value.path == os.fspath(path)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("address", ADDRESSES[:-1])
def test_addresses_are_never_opened(
    read: Callable[[str], object], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "open", pytest.fail)
    with pytest.raises(MediaError, match="is an address, and only local files.*download it"):
        read(address)


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_regular_file(
    read: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "open", pytest.fail)
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    (tmp_path / "nowhere.mp4").symlink_to(tmp_path / "gone.mp4")
    listener = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(tmp_path)  # the path of a socket may have 107 characters only
    listener.bind("socket.mp4")
    for name, message in {
        "pipe.mp4": "is a pipe, not a media file; write its content to a file",
        "folder.mp4": "is a folder, not a media file; name a file inside",
        "device.mp4": "is a device, not a media file; name a file",
        "socket.mp4": "is a socket",
        "empty.mp4": r"is empty \(0 bytes\); copy or download it again",
        "nowhere.mp4": "does not exist; check the path",
        "missing.mp4": "does not exist; check the path",
        ADDRESSES[-1]: "does not exist; check the path",
        "a\0b.mp4": "cannot be opened.*null",
    }.items():
        with pytest.raises(MediaError, match=message):
            read(name)
    listener.close()


def test_a_file_without_permission(make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip("plain.mp4")
    monkeypatch.setattr(os, "access", lambda *_: False)
    refusal(path, "may not be read; change its permissions")


def test_playlists_open_no_connection(make_clip: MakeClip, tmp_path: Path) -> None:
    whole = make_clip("plain.mp4")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n"
        local = playlist.replace(address, str(whole))
        for name, text, message in [
            ("remote.mp4", playlist, "is no video but a playlist"),
            ("local.mp4", local, "is no video but a playlist"),
            ("remote.m3u8", playlist, "is no video but a playlist"),
            ("concat.mp4", f"ffconcat version 1.0\nfile '{whole}'\n", "is no video but a playlist"),
            ("dash.mp4", f'<?xml version="1.0"?><MPD><BaseURL>{address}</BaseURL></MPD>', "an XML"),
        ]:
            (tmp_path / name).write_text(text)
            refusal(tmp_path / name, message)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("image_format", "message"),
    [("PNG", "is no video but a PNG picture"), ("JPEG", "is no video but a JPEG picture")],
)
def test_a_picture_named_as_a_video(image_format: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.mp4"
    Image.fromarray(numbered_picture(3)).save(path, format=image_format)
    refusal(path, message)


def test_text_and_noise_named_as_a_video(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    for content, message in [
        (b"just words\n" * 50, "cannot be read as a video.*play it, or convert it"),
        (bytes(range(256)) * 40, "cannot be read as a video"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer: run `git lfs pull`"),
        (b"<!DOCTYPE html><html></html>", "is no video but a web page"),
    ]:
        path.write_bytes(content)
        refusal(path, message)


def test_sound_alone(tmp_path: Path) -> None:
    sound = ["-f", "lavfi", "-i", "sine=duration=0.2"]
    run_ffmpeg(*sound, "-c:a", "aac", tmp_path / "sound.mp4")
    refusal(tmp_path / "sound.mp4", "has no video stream, only sound or a cover picture")
    run_ffmpeg(*sound, tmp_path / "sound.wav")
    (tmp_path / "sound.wav").rename(tmp_path / "wave.mp4")
    refusal(tmp_path / "wave.mp4", "is no video but a RIFF file without video")


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    Image.fromarray(numbered_picture(3)).save(tmp_path / "cover.png")
    sound = ["-f", "lavfi", "-i", "sine=duration=0.2"]
    copy = ["-map", "0", "-map", "1", "-c:a", "aac", "-c:v", "copy"]
    cover = ["-disposition:v", "attached_pic"]
    run_ffmpeg(*sound, "-i", tmp_path / "cover.png", *copy, *cover, tmp_path / "song.mp4")
    refusal(tmp_path / "song.mp4", "has no video stream, only sound or a cover picture")


@pytest.mark.parametrize("read", [read_clip, probe])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cut.mp4", "-c:v libx264 -g 10 -pix_fmt yuv420p -movflags +faststart"),
        ("cut.mov", "-c:v mpeg4 -g 10 -movflags +faststart"),
        ("cut.mkv", "-c:v libx264 -g 10 -pix_fmt yuv420p"),
        ("cut.webm", "-c:v libvpx -g 10 -b:v 1M"),
        ("cut.avi", "-c:v mjpeg -pix_fmt yuvj420p"),
    ],
)
def test_truncated_files_compare_decodable_with_declared(
    name: str, options: str, read: Callable[[str], object], make_clip: MakeClip, tmp_path: Path
) -> None:
    content = make_clip(name, options=options).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: len(content) * 8 // 10])
    with pytest.raises(MediaError, match="30 frames declared, .* decodable.*again") as caught:
        read(str(path))
    decodable = int(caught.value.message.split(" frames declared, ")[1].split()[0])
    assert 0 < decodable < 30


def test_a_truncation_behind_the_last_wanted_frame_is_found(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    options = "-c:v libx264 -g 10 -pix_fmt yuv420p -movflags +faststart"
    content = make_clip("cut.mp4", options=options).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[:-10])
    with pytest.raises(MediaError, match="30 frames declared, 29 decodable"):
        read_clip(tmp_path / "cut.mp4", num_frames=1)


def test_an_mp4_without_its_table(make_clip: MakeClip, tmp_path: Path) -> None:
    content = make_clip("plain.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(content[: len(content) // 2])
    refusal(tmp_path / "half.mp4", "cannot be read as a video.*damaged, cut short")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "webm"])
def test_damage_is_an_error_or_harmless_and_never_a_crash(
    suffix: str, make_clip: MakeClip, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = "-c:v libvpx" if suffix == "webm" else "-c:v libx264 -g 10 -pix_fmt yuv420p"
    content = bytearray(make_clip(f"damage.{suffix}", options=options).read_bytes())
    for place in range(len(content) // 3, 2 * len(content) // 3, 97):
        content[place] ^= 0x5A
    path = tmp_path / f"damage.{suffix}"
    path.write_bytes(content)
    try:
        read_clip(path)
    except MediaError as error:
        assert "damaged" in error.message or "cannot be" in error.message
    assert capfd.readouterr() == ("", "")


def test_damaged_pictures_are_not_shown(make_clip: MakeClip, tmp_path: Path) -> None:
    path = make_clip("plain.mp4")
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 1000
    content[start : start + 3000] = bytes(3000)
    (tmp_path / "holes.mp4").write_bytes(content)
    refusal(tmp_path / "holes.mp4", "damaged")


def test_pictures_that_are_too_large_are_refused_before_decoding(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = b"GIF89a" + struct.pack("<HHBBB", 30_000, 30_000, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00\x3b"
    (tmp_path / "large.gif").write_bytes(header + picture)
    refusal(
        tmp_path / "large.gif", "size of its pictures, or more than 33177600 pixels.*scale it down"
    )
    monkeypatch.setattr(opening, "MAX_FRAME_PIXELS", 96 * 72 - 1)
    for name in ("plain.mp4", "plain.mkv"):
        refusal(make_clip(name), "has pictures of 96x72 px, more than 6911 pixels; scale it down")


def test_codecs_and_containers_off_the_lists(tmp_path: Path) -> None:
    source = ["-f", "lavfi", "-i", "testsrc=size=64x64:duration=0.2"]
    run_ffmpeg(*source, "-c:v", "zmbv", tmp_path / "codec.avi")
    refusal(tmp_path / "codec.avi", "is coded as zmbv; convert it to h264 first")
    run_ffmpeg(*source, "-f", "nut", tmp_path / "container.mp4")
    refusal(tmp_path / "container.mp4", "cannot be read as a video")


def test_a_changing_picture_size_needs_a_frame_size(tmp_path: Path, make_clip: MakeClip) -> None:
    small = make_clip("small.ts", num_frames=10, size=(96, 64))
    large = make_clip("large.ts", num_frames=10, size=(128, 64))
    run_ffmpeg("-i", large, "-c", "copy", "-output_ts_offset", "2", tmp_path / "later.ts")
    path = tmp_path / "changing.ts"
    path.write_bytes(small.read_bytes() + (tmp_path / "later.ts").read_bytes())
    refusal(path, "changes its picture size.*read it with a frame_size")
    assert read_clip(path, frame_size=64).frames.shape == (8, 3, 64, 64)


def test_errors_travel_between_processes(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        read_clip(tmp_path / "missing.mp4")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and again.path == caught.value.path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frame_size": 100}, "frame_size is 100"),
        ({"frame_size": 64, "aspect": "padd"}, "unknown aspect 'padd'.*Did you mean 'pad'"),
        ({"frame_snap": 0.7}, "frame_snap is 0.7"),
        ({"sampler": "unifrom"}, "unknown sampler"),
        ({"num_frames": 0}, "num_frames is 0"),
    ],
)
def test_arguments_are_checked_before_the_file(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_clip("missing.mp4", **arguments)  # type: ignore[arg-type]
