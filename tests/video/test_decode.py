"""Does every container, codec and rate give the frames of the instants that were asked for?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from fixtures_video import MakeClip, frames_by_ffmpeg, number_of, run_ffmpeg
from flipbook.video import is_video_file, load_video_frames, probe, reaching, read_clip

H264 = "-c:v libx264 -g 10 -pix_fmt yuv420p"
KINDS = {
    "h264.mp4": H264,
    "no_b.mp4": H264 + " -bf 0",
    "open_gop.mp4": H264 + " -x264-params open-gop=1:keyint=10:min-keyint=10:bframes=3",
    "fragmented.mp4": H264 + " -movflags frag_keyframe+empty_moov",
    "hevc_10_bit.mp4": "-c:v libx265 -pix_fmt yuv420p10le -x265-params log-level=none:keyint=10",
    "mpeg4.m4v": "-c:v mpeg4 -g 10 -q:v 3 -f mp4",
    "h264.mov": H264,
    "prores.mov": "-c:v prores_ks",
    "h264.mkv": H264,
    "hevc.mkv": "-c:v libx265 -pix_fmt yuv420p -x265-params log-level=none:keyint=10",
    "ffv1.mkv": "-c:v ffv1 -pix_fmt yuv444p",
    "vp8.webm": "-c:v libvpx -g 10 -b:v 1M",
    "vp9.webm": "-c:v libvpx-vp9 -g 10 -b:v 1M -cpu-used 8",
    "h264.avi": H264,
    "xvid.avi": "-c:v mpeg4 -bf 2 -g 10 -q:v 3",
    "mjpeg.avi": "-c:v mjpeg -q:v 3 -pix_fmt yuvj420p",
    "h264.flv": H264,
    "flv1.flv": "-c:v flv1 -g 10 -q:v 3",
    "wmv2.wmv": "-c:v wmv2 -g 10 -q:v 3",
    "h264.ts": H264,
    "mpeg2.ts": "-c:v mpeg2video -bf 2 -g 10 -q:v 3",
    "mpeg2.mpg": "-c:v mpeg2video -bf 2 -g 10 -q:v 3",
    "mpeg1.mpeg": "-c:v mpeg1video -bf 2 -g 10 -q:v 3",
    "h263.3gp": "-c:v h263 -g 10 -q:v 3 -s 176x144",
    "theora.ogv": "-c:v libtheora -g 10 -q:v 9",
    "picture.gif": "",
}  # fmt: skip


def numbers(frames: torch.Tensor) -> list[int]:
    return [number_of(frame.permute(1, 2, 0).numpy()) for frame in frames]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_the_frames_of_linspace(name: str, make_clip: MakeClip) -> None:
    path = make_clip(name, options=KINDS[name])
    clip = read_clip(path, num_frames=7)
    expected = np.linspace(0, 29, 7, dtype=int).tolist()
    assert numbers(clip.frames) == expected == list(clip.frame_indices)
    assert clip.num_repeated == 0
    # A GIF tells time in hundredths, a Matroska file in thousandths of a second.
    assert np.abs(clip.times_s.numpy() - np.array(expected) / 30).max() < 0.011


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_of_every_kind_can_be_read(name: str, make_clip: MakeClip) -> None:
    clip = read_clip(make_clip(name, options=KINDS[name]), num_frames=30)
    assert numbers(clip.frames) == list(range(30))


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "xvid.avi", "vp9.webm", "h264.ts"])
def test_frames_are_those_of_the_ffmpeg_program_bit_for_bit(name: str, make_clip: MakeClip) -> None:
    path = make_clip(name, options=KINDS[name])
    reference = frames_by_ffmpeg(path, width=96, height=72)
    clip = read_clip(path, num_frames=8)
    expected = reference[np.linspace(0, 29, 8, dtype=int)]
    assert (clip.frames.permute(0, 2, 3, 1).numpy() == expected).all()


@pytest.mark.parametrize("size", [(97, 73), (66, 130), (130, 66)])
def test_odd_sizes(size: tuple[int, int], make_clip: MakeClip) -> None:
    path = make_clip(
        f"size_{size[0]}.mkv", size=size, num_frames=6, options="-c:v ffv1 -pix_fmt yuv444p"
    )
    clip = read_clip(path, num_frames=6)
    assert tuple(clip.frames.shape) == (6, 3, size[1], size[0])
    assert numbers(clip.frames) == list(range(6))


def test_thirty_seconds_with_four_frames(make_clip: MakeClip) -> None:
    path = make_clip("long.mp4", num_frames=61, rate=2, options="-c:v libx264 -pix_fmt yuv420p")
    clip = read_clip(path, num_frames=4)
    assert clip.times_s.tolist() == [0, 10, 20, 30]
    assert numbers(clip.frames) == [0, 20, 40, 60]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_variable_rate_goes_by_presentation_time(suffix: str, make_clip: MakeClip) -> None:
    # One second of 20 frames/s, then three pictures that stay for long.
    times_ms = (*range(0, 1000, 50), 4000, 7000, 10_000)
    path = make_clip(f"variable.{suffix}", num_frames=23, times_ms=times_ms)
    assert probe(path).is_variable_rate
    clip = read_clip(path, num_frames=5)  # instants 0, 2.5, 5, 7.5, 10 s
    assert numbers(clip.frames) == [0, 19, 20, 21, 22] == list(clip.frame_indices)
    assert clip.times_s.tolist() == pytest.approx([0, 0.95, 4, 7, 10])
    repeated = read_clip(path, num_frames=11)
    assert numbers(repeated.frames) == [0, 19, 19, 19, 20, 20, 20, 21, 21, 21, 22]
    assert repeated.num_repeated == 6


def test_a_cut_without_encoding_shows_what_its_edit_list_shows(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    whole = make_clip("h264.mp4", options=KINDS["h264.mp4"])
    path = tmp_path / "cut.mp4"
    run_ffmpeg("-ss", "0.45", "-i", whole, "-c", "copy", path)
    reference = frames_by_ffmpeg(path, width=96, height=72)
    clip = read_clip(path, num_frames=len(reference))
    assert (clip.frames.permute(0, 2, 3, 1).numpy() == reference).all()
    assert clip.num_repeated == 0 and clip.times_s[0] == 0


def test_reference_pictures_that_are_never_shown_are_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "hidden.webm"
    source = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=30:duration=1,noise=alls=10:allf=t"]
    hidden = ["-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "50k", "-cpu-used", "4"]
    for turn in ("1", "2"):
        passes = ["-pass", turn, "-passlogfile", tmp_path / "log"]
        run_ffmpeg(*source, "-c:v", "libvpx", *hidden, *passes, path)
    with av.open(str(path)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) > 30
    reference = frames_by_ffmpeg(path, width=64, height=48)
    clip = read_clip(path, num_frames=30)
    assert clip.num_repeated == 0
    assert (clip.frames.permute(0, 2, 3, 1).numpy() == reference).all()


def test_sound_and_a_late_start_change_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
    whole = make_clip("h264.mp4", options=KINDS["h264.mp4"])
    sound = ["-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac"]
    copy = ["-map", "1:a", "-map", "0:v", "-c:v", "copy"]
    for name in ("late.mp4", "late.mkv", "late.ts"):
        run_ffmpeg("-itsoffset", "1.5", "-i", whole, *sound, *copy, tmp_path / name)
        clip = read_clip(tmp_path / name, num_frames=4)
        assert numbers(clip.frames) == [0, 9, 19, 29]
        assert clip.times_s.tolist() == pytest.approx([0, 9 / 30, 19 / 30, 29 / 30], abs=0.002)


@pytest.mark.parametrize(
    ("options", "rotation"), [("90", 270), ("180", 180), ("270", 90), ("-90", 90)]
)
def test_rotation_is_applied(
    options: str, rotation: int, make_clip: MakeClip, tmp_path: Path
) -> None:
    whole = make_clip("h264.mp4", options=KINDS["h264.mp4"])
    path = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", options, "-i", whole, "-c", "copy", path)
    info = probe(path)
    assert info.rotation == rotation
    reference = frames_by_ffmpeg(path, width=info.width, height=info.height)
    clip = read_clip(path, num_frames=30)
    assert (clip.frames.permute(0, 2, 3, 1).numpy() == reference).all()
    assert (info.width, info.height) == ((96, 72) if rotation == 180 else (72, 96))


@pytest.mark.parametrize("flags", ["-display_hflip", "-display_vflip"])
def test_mirroring_is_applied(flags: str, make_clip: MakeClip, tmp_path: Path) -> None:
    whole = make_clip("h264.mp4", options=KINDS["h264.mp4"])
    path = tmp_path / "mirrored.mp4"
    run_ffmpeg("-display_rotation", "90", flags, "-i", whole, "-c", "copy", path)
    reference = frames_by_ffmpeg(path, width=72, height=96)
    clip = read_clip(path, num_frames=30)
    assert (clip.frames.permute(0, 2, 3, 1).numpy() == reference).all()


def test_a_short_clip_repeats_frames_and_counts_them(make_clip: MakeClip) -> None:
    path = make_clip("short.mp4", num_frames=3)
    clip = read_clip(path, num_frames=8, frame_size=64, aspect="stretch")
    assert tuple(clip.frames.shape) == (8, 3, 64, 64)
    assert numbers(clip.frames) == [0, 0, 0, 0, 1, 1, 1, 2]
    assert clip.num_repeated == 5


def test_a_single_frame_is_a_clip(make_clip: MakeClip) -> None:
    clip = read_clip(make_clip("single.mp4", num_frames=1), num_frames=4)
    assert numbers(clip.frames) == [0, 0, 0, 0] and clip.num_repeated == 3
    info = probe(make_clip("single.mp4", num_frames=1))
    assert info.num_frames == 1 and not info.is_variable_rate


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "h264.ts"])
def test_snapping_moves_frames_to_key_frames(name: str, make_clip: MakeClip) -> None:
    path = make_clip(name, options=KINDS[name])  # key frames are 0, 10, 20
    assert read_clip(path, num_frames=4).frame_indices == (0, 9, 19, 29)
    clip = read_clip(path, num_frames=4, frame_snap=0.25)
    assert numbers(clip.frames) == [0, 10, 20, 29] == list(clip.frame_indices)


def test_segments_draw_and_fps_counts(make_clip: MakeClip) -> None:
    path = make_clip("h264.mp4", options=KINDS["h264.mp4"])
    assert read_clip(path, num_frames=3, sampler="segments").frame_indices == (5, 15, 25)
    drawn = [
        read_clip(path, num_frames=3, sampler="segments", rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert drawn[0].frame_indices == drawn[1].frame_indices != drawn[2].frame_indices
    assert numbers(drawn[2].frames) == list(drawn[2].frame_indices)
    by_rate = read_clip(path, sampler="fps", frames_per_s=6, min_frames=2, max_frames=5)
    assert len(by_rate.frames) == 5


def test_load_video_frames_gives_upright_images(make_clip: MakeClip) -> None:
    path = make_clip("h264.mp4", options=KINDS["h264.mp4"])
    images = load_video_frames(path, num_frames=4)
    assert all(isinstance(image, Image.Image) and image.size == (96, 72) for image in images)
    assert [number_of(np.asarray(image)) for image in images] == [0, 9, 19, 29]
    assert len(load_video_frames(str(path))) == 8


def test_probe_tells_the_facts(make_clip: MakeClip) -> None:
    info = probe(make_clip("h264.mkv", options=KINDS["h264.mkv"]))
    assert (info.codec, info.container) == ("h264", "matroska,webm")
    assert (info.width, info.height, info.rotation, info.num_frames) == (96, 72, 0, 30)
    assert info.duration_s == pytest.approx(1.0, abs=0.002)
    assert info.frames_per_s == pytest.approx(30, rel=0.002)
    assert not info.is_variable_rate


def test_video_files_are_told_by_extension() -> None:
    suffixes = "mp4 avi mov mkv flv wmv webm m4v mpg mpeg ts 3gp ogv gif"
    for suffix in suffixes.split():
        assert is_video_file(f"clips/a.{suffix}") and is_video_file(Path(f"A.{suffix.upper()}"))
    assert not is_video_file(f"{suffix}.png") and not is_video_file(suffix)


def test_only_the_needed_part_of_a_file_is_decoded(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip("h264.mp4", options=KINDS["h264.mp4"])
    monkeypatch.setattr(reaching, "timeline_from_packets", pytest.fail)
    assert numbers(read_clip(path, num_frames=4).frames) == [0, 9, 19, 29]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 warns of threads
def test_a_worker_forked_after_a_read_reads_too(make_clip: MakeClip) -> None:
    path = make_clip("h264.mp4", options=KINDS["h264.mp4"])
    before = read_clip(path, num_frames=4, frame_size=64)
    child = os.fork()
    if child == 0:
        is_same = False
        try:
            is_same = torch.equal(
                read_clip(path, num_frames=4, frame_size=64).frames, before.frames
            )
        finally:
            os._exit(0 if is_same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_names_with_colons_and_spaces_are_local_files(make_clip: MakeClip, tmp_path: Path) -> None:
    path = tmp_path / "concat:a b|c #1 %20.mp4"
    shutil.copy(make_clip("h264.mp4", options=KINDS["h264.mp4"]), path)
    assert numbers(read_clip(path, num_frames=2).frames) == [0, 29]
