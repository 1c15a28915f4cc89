"""What rows of the LLaVA and the messages family say, and what they must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flipbook.data.media_folders import MediaFolders
from flipbook.data.readers import READERS, read_row
from flipbook.data.turns import Media, Turn
from flipbook.errors import RecordError
from flipbook.video.view import View

NAMES = ("a.mp4", "b.mov", "c.png", "d.JPG")


@pytest.fixture
def folders(tmp_path: Path) -> MediaFolders:
    for name in NAMES:
        (tmp_path / name).write_bytes(b"x")
    return MediaFolders(tmp_path / "train.json", None)


def read(row: dict[str, Any], folders: MediaFolders) -> list[tuple[Any, ...]]:
    """Role and parts of each turn of the only conversation, media by kind and file name."""
    (turns,) = read_row(row, folders=folders, record_id="clip-7")
    return [(turn.role, *(_short(part) for part in turn.parts)) for turn in turns]


def _short(part: str | Media) -> str:
    return part if isinstance(part, str) else f"[{part.kind} {Path(part.path).name}]"


def llava(question: str, **media: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": "An <image>."}]
    return {"conversations": turns, **media}


def messages(content: Any, **media: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "Yes."}]
    return {"messages": turns, **media}


@pytest.mark.parametrize("make", [llava, messages])
@pytest.mark.parametrize(
    ("question", "media", "parts"),
    [
        ("<video>\nWhy?", {"video": "a.mp4"}, ["[video a.mp4]", "Why?"]),
        ("<image>\nWhy?", {"image": "a.mp4"}, ["[video a.mp4]", "Why?"]),
        ("<image>\nWhy?", {"video": ["a.mp4"]}, ["[video a.mp4]", "Why?"]),
        ("<video>\nWhy?", {"image": ["c.png"]}, ["[image c.png]", "Why?"]),
        ("Why?\n<image>", {"image": "d.JPG"}, ["[image d.JPG]", "Why?"]),
        ("Why?", {"video": "a.mp4"}, ["[video a.mp4]", "Why?"]),
        ("Why?", {"images": ["c.png"], "videos": []}, ["[image c.png]", "Why?"]),
        ("Why?", {"image": None, "video": None}, ["Why?"]),
        (
            "Is <image>\nlike <image>\n?",
            {"image": ["c.png", "b.mov"]},
            ["Is ", "[image c.png]", "like ", "[video b.mov]", "?"],
        ),
        (
            "<video>\n<image>\nSame?",
            {"image": "c.png", "video": "a.mp4"},
            ["[video a.mp4]", "[image c.png]", "Same?"],
        ),
        (
            "Same?",
            {"image": ["c.png", "d.JPG"], "video": "a.mp4"},
            ["[image c.png]", "[image d.JPG]", "[video a.mp4]", "Same?"],
        ),
    ],
)
def test_media_of_columns_find_their_places(
    make: Any, question: str, media: dict[str, Any], parts: list[str], folders: MediaFolders
) -> None:
    assert read(make(question, **media), folders)[0] == ("user", *parts)


def test_a_column_of_the_other_family_may_be_empty(folders: MediaFolders) -> None:
    row = messages("Why?", conversations=None)
    assert read(row, folders)[0] == ("user", "Why?")


def test_answers_and_system_turns_are_words(folders: MediaFolders) -> None:
    row = llava("<video>\nWhy?", video="a.mp4")
    row["conversations"].insert(0, {"from": "system", "value": "See <video>."})
    assert read(row, folders) == [
        ("system", "See <video>."),
        ("user", "[video a.mp4]", "Why?"),
        ("assistant", "An <image>."),
    ]


def test_media_of_later_turns(folders: MediaFolders) -> None:
    turns = [
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello"},
        {"from": "human", "value": "<image>\nAnd this?"},
        {"from": "gpt", "value": "A cat."},
    ]
    found = read({"conversations": turns, "image": "c.png"}, folders)
    assert found[0] == ("user", "Hi")
    assert found[2] == ("user", "[image c.png]", "And this?")


@pytest.mark.parametrize(
    ("content", "media", "parts"),
    [
        ([{"type": "text", "text": "<image>"}], {}, ["<image>"]),
        (
            [{"type": "text", "text": "See "}, {"type": "video", "video": "a.mp4"}],
            {},
            ["See ", "[video a.mp4]"],
        ),
        ([{"type": "image", "path": "c.png"}], {}, ["[image c.png]"]),
        ([{"type": "image", "url": "b.mov"}], {}, ["[video b.mov]"]),
        (
            [{"type": "image"}, {"type": "video"}, {"type": "text", "text": "Why?"}],
            {"images": ["c.png"], "videos": ["a.mp4"]},
            ["[image c.png]", "[video a.mp4]", "Why?"],
        ),
        (
            [{"type": "video", "video": None}, {"type": "text", "text": "Why?"}],
            {"images": ["a.mp4"]},
            ["[video a.mp4]", "Why?"],
        ),
        (
            [{"type": "video", "video": "a.mp4"}, {"type": "text", "text": "Why?"}],
            {"videos": ["a.mp4"]},
            ["[video a.mp4]", "Why?"],
        ),
    ],
)
def test_typed_parts(
    content: Any, media: dict[str, Any], parts: list[str], folders: MediaFolders
) -> None:
    assert read(messages(content, **media), folders)[0] == ("user", *parts)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "c.png"}},
        {"type": "image_url", "image_url": "c.png"},
        {"type": "input_image", "image_url": "c.png", "detail": "high"},
        {"type": "image", "image": "c.png", "min_pixels": 4},
    ],
)
def test_typed_parts_under_the_names_of_others(part: dict[str, Any], folders: MediaFolders) -> None:
    said = {"type": "input_text", "text": "Why?"}
    assert read(messages([part, said]), folders)[0] == ("user", "[image c.png]", "Why?")


def test_an_address_of_this_machine_is_a_path(folders: MediaFolders) -> None:
    part = {"type": "video_url", "video_url": {"url": f"file://{folders.start}/a.mp4"}}
    assert read(messages([part]), folders)[0] == ("user", "[video a.mp4]")


def test_what_of_a_clip_is_shown(folders: MediaFolders) -> None:
    parts = [
        {"type": "video", "path": "a.mp4", "start_s": 1.5, "end_s": 4},
        {"type": "video", "path": "b.mov", "times_s": [0, 2.5]},
        {"type": "video", "frames": ["c.png", "d.JPG"], "frames_fps": 2},
    ]
    row = messages(parts, clip={"num_frames": 3, "frame_size": 256})
    ((question, _),) = read_row(row, folders=folders, record_id="r", view=View(num_frames=9))
    first, second, third = question.media
    assert first.view == View(start_s=1.5, end_s=4, num_frames=3, frame_size=256)
    assert second.view == View(times_s=(0, 2.5), num_frames=3, frame_size=256)
    assert third.view == View(frames_fps=2, num_frames=3, frame_size=256)
    assert [Path(path).name for path in third.frames] == ["c.png", "d.JPG"]
    assert third.path == str(folders.start)


def test_a_list_of_pictures_among_videos_is_a_clip(folders: MediaFolders) -> None:
    row = messages("<video>\n<video>\nSame?", videos=[["c.png", "d.JPG"], "a.mp4"])
    ((question, _),) = read_row(row, folders=folders, record_id="r")
    pictures, clip = question.media
    assert (len(pictures.frames), clip.frames) == (2, ())
    assert pictures.kind == clip.kind == "video"


@pytest.mark.parametrize("make", [llava, messages])
def test_several_conversations_each_show_all_media(make: Any, folders: MediaFolders) -> None:
    row = make("<video>\nWhy?", video="a.mp4")
    key = next(reader.key for reader in READERS.values() if reader.key in row)
    row[key] = [row[key], make("How?")[key]]
    first, second = read_row(row, folders=folders, record_id="clip-7")
    clip = first[0].parts[0]
    assert isinstance(clip, Media)
    assert second[0] == Turn("user", (clip, "How?"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (llava("<image>\nWhy?"), r"placeholders for 1 image\(s\) .* names 0 image"),
        (llava("<image>\n<image>\n?", image="c.png"), r"for 2 image.* names 1 image"),
        (llava("<video>\nWhy?", video=["a.mp4", "b.mov"]), r"for 0 .* 1 video.* 2 video"),
        (llava("<image>\n<image>\n?", image="c.png", video="a.mp4"), "give each its own"),
        (llava("Why?", image="c.png", images=["c.png"]), "has both 'image' and 'images'"),
        (llava("Why?", vidoe="a.mp4"), "'vidoe' holds 'a.mp4' and is not read; .* mean 'video'"),
        (llava("Why?", files=["a.mp4", "c.png"]), "'files' holds .* is not read"),
        (llava("Why?", video="gone.mp4"), "gone.mp4: does not exist"),
        ({"id": "x", "message": []}, "keys id, message; expected .* Did you mean 'messages'"),
        ({}, r"has the keys \(none\)"),
        (llava("Why?") | messages("Why?"), "holds both 'conversations' and 'messages'; keep one"),
        ({"conversations": "text"}, "'conversations' must be a list of turns, .* it is 'text'"),
        ({"conversations": []}, "must be a list of turns"),
        ({"conversations": ["text"]}, "must be a list of turns"),
        ({"conversations": [["text"]]}, "must be a list of turns"),
        ({"conversations": [{"role": "user", "content": "?"}]}, "role, content and misses 'from'"),
        ({"conversations": [{"from": "human", "text": "?"}]}, "from, text and misses 'value'"),
        (
            {"conversations": [{"from": "humam", "value": "?"}]},
            "unknown role 'humam'.*mean 'human'",
        ),
        ({"conversations": [{"from": ["x"], "value": "?"}]}, "unknown role"),
        ({"conversations": [{"from": "human", "value": 7}]}, "'value' must be text; it is 7"),
        (messages(7), "'content' must be text; it is 7"),
        (messages(["text"]), "a part is 'text'; its 'type' must be one of text, input_text"),
        (messages([{"type": "vido"}]), "must be one of .* Did you mean 'video'"),
        (messages([{"type": "image_uri", "image_url": {"url": "c.png"}}]), "mean 'image_url'"),
        (messages([{"type": "image", "image": "c.png", "path": "c.png"}]), "under image and path"),
        (messages([{"type": "video", "video": "a.mp4", "start": 3}]), "'start', .*mean 'start_s'"),
        (messages([{"type": "video", "video": "a.mp4", "start_s": -1}]), "start_s is -1: give sec"),
        (messages([{"type": "video", "video": "a.mp4", "times_s": 3}]), "'times_s' is 3; it must"),
        (
            messages([{"type": "video", "video": "a.mp4", "start_s": 3, "end_s": 2}]),
            "end_s is 2 and start_s is 3: the end must come after",
        ),
        (llava("<video>", video="a.mp4", clip={"num_frame": 3}), "'clip' holds 'num_frame'.*mean"),
        (messages([{"type": ["x"]}]), "must be one of"),
        (messages([{"type": "text"}]), "has the keys type and misses 'text'"),
        (messages([{"type": "text", "text": None}]), "'text' must be text; it is None"),
        (messages([{"type": "video", "video": ["a.mp4"]}]), "a list of pictures and is none"),
        (messages([{"type": "video", "video": []}]), "a clip is an empty list"),
        (messages([{"type": "image", "url": "https://example.org/c.png"}]), "is an address"),
        (messages([{"type": "video"}]), "for 0 image.* 1 video.* names 0"),
        (
            messages([{"type": "video", "video": "a.mp4"}], videos=["b.mov"]),
            "b.mov stands in no turn",
        ),
    ],
)
def test_rows_that_cannot_be_understood(
    row: dict[str, Any], message: str, folders: MediaFolders
) -> None:
    with pytest.raises(RecordError, match=f"record clip-7: .*{message}"):
        read_row(row, folders=folders, record_id="clip-7")
