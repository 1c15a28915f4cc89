"""Which files might a data set hold that nobody made for training, and what must become of each?

    make_corpus(folder) -> files and folders in `folder`, one for each line of `ODD` and `REFUSED`

All of them are made by this script, the same on every machine; none is kept in git. `ODD` are sound
and strange: the numbers in their pictures say which frames must come out. `REFUSED` must end in a
MediaError with the words beside it. `DAMAGED` may do either, but never give another frame.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from fixtures_video import numbered_picture, run_ffmpeg, write_timed

SECRET = "out/secret.mp4"  # noqa: S105 - beside the folder of the corpus, in no folder that is named
NUM_FRAMES = 8
_H264 = "-c:v libx264 -g 4 -pix_fmt yuv420p"


class Odd(NamedTuple):
    """A sound file: the numbers in its first and last picture, and the size of the pictures."""

    first: int
    last: int
    size: tuple[int, int] = (96, 72)  # width, height


def encode(path: Path, *, options: str = _H264, num: int = NUM_FRAMES, size: str = "96x72") -> None:
    """Write a numbered clip of 10 frames a second by the ffmpeg program."""
    width, height = map(int, size.split("x"))
    pictures = [numbered_picture(n, width=width, height=height).tobytes() for n in range(num)]
    source = f"-f rawvideo -pix_fmt rgb24 -s {size} -r 10 -i -".split()
    run_ffmpeg(*source, *options.split(), path, data=b"".join(pictures))


ODD: dict[str, Odd] = {
    "plain.mp4": Odd(0, 7),
    "moov-first.mp4": Odd(0, 7),
    "one-frame.mp4": Odd(0, 0),
    "variable-rate.mp4": Odd(0, 7),
    "two-hours.mp4": Odd(0, 7),
    "rotated.mp4": Odd(0, 7),
    "ten-bit.mp4": Odd(0, 7),
    "every-colour.mp4": Odd(0, 7),
    "odd-size.mp4": Odd(0, 7, (97, 73)),
    "edit-list.mp4": Odd(4, 7),
    "grey-name.MP4": Odd(0, 7),
    "no-ending": Odd(0, 7),
    "-dash.mp4": Odd(0, 7),
    "quote'\".mp4": Odd(0, 7),
    "100%d.mp4": Odd(0, 7),
    "concat:x|y.mp4": Odd(0, 7),
    "http:x.mp4": Odd(0, 7),
    "a,b;c&d$(e).mp4": Odd(0, 7),
    "ünï—日本.mp4": Odd(0, 7),
    "inner-link.mp4": Odd(0, 7),
    "n" * 240 + ".mp4": Odd(0, 7),
}
# Names that no line of text can hold; a manifest cannot name them, a program can.
UNPRINTABLE = ("line\nbreak.mp4", os.fsdecode(b"half\xff\xfe.mp4"))

REFUSED: dict[str, str] = {
    "zero.mp4": "is empty",
    "zeros.mp4": "cannot be read as a video",
    "noise.mp4": "cannot be read as a video",
    "page.mp4": "is no video but a web page",
    "words.mp4": "cannot be read as a video",
    "zip.mp4": "is no video but a ZIP archive",
    "png.mp4": "is no video but a PNG picture",
    "jpeg.mp4": "is no video but a JPEG picture",
    "cut-moov-last.mp4": "damaged, cut short|holds no frame",
    "cut-moov-first.mp4": "8 frames declared, . decodable",
    "cut.mkv": "frames declared, . decodable",
    "sound.mp4": "has no video stream",
    "bomb.mp4": "more than 33177600 pixels",
    "bomb.gif": "more than 33177600 pixels",
    "list.m3u8": "is no video but a playlist",
    "list.mp4": "is no video but a playlist",
    "list.mkv": "is no video but a playlist",
    "files.mp4": "is no video but a playlist",
    "sdp.mp4": "cannot be read as a video",
    "images%d.mp4": "does not exist",
    "pipe.mp4": "is a pipe",
    "device.mp4": "is a device",
    "loop.mp4": "cannot be opened",
    "folder.mp4": "is a folder",
    "missing.mp4": "does not exist",
    "concat:plain.mp4|plain.mp4": "is an address|does not exist",
    "subfile,,start,0,end,9,,:plain.mp4": "does not exist",
    "http://127.0.0.1:9/a.mp4": "is an address",
    "x" * 300 + ".mp4": "cannot be opened",
    "nul\0.mp4": "cannot be opened",
}
PICTURES_REFUSED: dict[str, str] = {
    "bomb.png": "more than 100000000|too many pixels",
    "bomb-text.png": "cannot be decoded|is no image",
    "clip.jpg": "is no image of a known kind",
    "page.png": "is no image of a known kind",
    "empty.png": "is empty",
    "cut.jpg": "cannot be decoded",
}
DAMAGED = tuple(f"flip-{number}.{end}" for end in ("mp4", "mkv", "avi") for number in range(6))


def make_corpus(folder: Path) -> None:
    """Write all files of the tables into a folder, and a sound clip beside it, see `SECRET`."""
    folder.mkdir()
    secret = folder.parent / SECRET
    secret.parent.mkdir(exist_ok=True)
    encode(folder / "plain.mp4")
    shutil.copy(folder / "plain.mp4", secret)
    _make_odd(folder)
    _make_cut(folder)
    _make_bombs(folder)
    _make_lists(folder, secret)
    _make_special(folder)
    _make_pictures(folder)
    for end in ("mp4", "mkv", "avi"):
        _make_flipped(folder, end)


def _make_odd(folder: Path) -> None:
    encode(folder / "moov-first.mp4", options=f"{_H264} -movflags +faststart")
    encode(folder / "one-frame.mp4", num=1)
    pictures = [numbered_picture(n) for n in range(NUM_FRAMES)]
    write_timed(folder / "variable-rate.mp4", pictures, [0, 20, 40, 500, 510, 1400, 1410, 1500])
    write_timed(folder / "two-hours.mp4", pictures, [n * 7_200_000 // 7 for n in range(8)])
    sideways = folder / "sideways.mp4"
    run_ffmpeg("-i", folder / "plain.mp4", "-vf", "transpose=1", *_H264.split(), sideways)
    turned = folder / "rotated.mp4"
    run_ffmpeg("-display_rotation", "90", "-i", sideways, "-c", "copy", turned)
    sideways.unlink()
    encode(folder / "ten-bit.mp4", options="-c:v libx264 -g 4 -pix_fmt yuv420p10le")
    encode(folder / "every-colour.mp4", options="-c:v libx264 -g 4 -pix_fmt yuv444p")
    encode(folder / "odd-size.mp4", options="-c:v libx264 -g 4 -pix_fmt yuv444p", size="97x73")
    run_ffmpeg("-ss", "0.4", "-i", folder / "plain.mp4", "-c", "copy", folder / "edit-list.mp4")
    (folder / "inner-link.mp4").symlink_to("plain.mp4")
    for name in (*ODD, *UNPRINTABLE):
        if not (folder / name).exists():
            shutil.copy(folder / "plain.mp4", folder / name)


def _make_cut(folder: Path) -> None:
    for source, name in (("plain.mp4", "cut-moov-last.mp4"), ("moov-first.mp4",) * 2):
        content = (folder / source).read_bytes()
        name = name if name.startswith("cut") else f"cut-{name}"
        (folder / name).write_bytes(content[: len(content) * 85 // 100])
    encode(folder / "whole.mkv")
    content = (folder / "whole.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(content[: len(content) * 85 // 100])
    (folder / "whole.mkv").unlink()


def _make_bombs(folder: Path) -> None:
    grey = "color=c=gray:s=8192x8192:r=1:d=1"
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-frames:v", "1"]
    run_ffmpeg("-f", "lavfi", "-i", grey, *codec, folder / "bomb.mp4")
    header = b"GIF89a" + struct.pack("<HHBBB", 30_000, 30_000, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00\x3b"
    (folder / "bomb.gif").write_bytes(header + picture)


def _make_lists(folder: Path, secret: Path) -> None:
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"
    for name in ("list.m3u8", "list.mp4", "list.mkv"):
        (folder / name).write_text(hls)
    (folder / "files.mp4").write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    (folder / "sdp.mp4").write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\n")


def _make_special(folder: Path) -> None:
    noise = random.Random(7)
    (folder / "zero.mp4").touch()
    (folder / "zeros.mp4").write_bytes(bytes(20_000))
    (folder / "noise.mp4").write_bytes(noise.randbytes(20_000))
    (folder / "page.mp4").write_text("<!DOCTYPE html><html>Sign in to download</html>")
    (folder / "words.mp4").write_text("just words\n" * 500)
    with zipfile.ZipFile(folder / "zip.mp4", "w") as archive:
        archive.writestr("a.mp4", bytes(10_000))
    sound = ["-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "aac"]
    run_ffmpeg(*sound, folder / "sound.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "device.mp4").symlink_to("/dev/zero")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "link-out.mp4").symlink_to(Path("..") / SECRET)
    (folder / "folder-out").symlink_to(Path("..") / Path(SECRET).parent)
    (folder / "folder.mp4").mkdir()


def _make_pictures(folder: Path) -> None:
    sound = Image.fromarray(numbered_picture(3))
    sound.save(folder / "png.mp4", format="PNG")
    sound.save(folder / "jpeg.mp4", format="JPEG")
    sound.save(folder / "whole.png")
    sound.resize((400, 300)).save(folder / "cut.jpg", quality=95)
    content = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "bomb.png").write_bytes(_png(60_000, 60_000, b""))
    text = b"comment\0\0" + zlib.compress(bytes(80 << 20))  # 80 MB of text in 80 KB
    (folder / "bomb-text.png").write_bytes(_png(8, 8, text))
    shutil.copy(folder / "plain.mp4", folder / "clip.jpg")
    (folder / "page.png").write_text("<html>404</html>")
    (folder / "empty.png").touch()


def _png(width: int, height: int, text: bytes) -> bytes:
    """Return a PNG of one colour, perhaps with a compressed comment."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + width // 8) * min(height, 1000))
    chunks = [(b"IHDR", header), *([(b"zTXt", text)] if text else []), (b"IDAT", rows)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (*chunks, (b"IEND", b""))
    )


def _make_flipped(folder: Path, end: str) -> None:
    encode(folder / f"flip.{end}")
    content = (folder / f"flip.{end}").read_bytes()
    (folder / f"flip.{end}").unlink()
    places = random.Random(end)
    for number in range(6):
        damaged = bytearray(content)
        for _ in range(1 + 4 * number):
            damaged[places.randrange(len(damaged))] ^= 1 << places.randrange(8)
        (folder / f"flip-{number}.{end}").write_bytes(damaged)
