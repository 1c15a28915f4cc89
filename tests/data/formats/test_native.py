"""Rows of LLaVA's and the messages' family are read as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures_benchmarks import make_files, outcome, write_json
from flipbook.data.formats.native import read_native
from flipbook.data.formats.origin import Origin
from flipbook.data.formats.table import detect_format
from flipbook.data.records import Record
from flipbook.data.turns import Media
from flipbook.video.view import View

LLAVA_INSTRUCT = {
    "id": "000000033471",
    "image": "coco/000000033471.jpg",
    "conversations": [
        {"from": "human", "value": "<image>\nWhat are the colors of the bus?"},
        {"from": "gpt", "value": "The bus is white and red."},
        {"from": "human", "value": "What feature can be seen on its back?"},
        {"from": "gpt", "value": "An advertisement."},
    ],
}
LLAVA_VIDEO_178K = {
    "id": "I6FEP",
    "conversations": [
        {"from": "human", "value": "<image>\nWhat does the person do?"},
        {"from": "gpt", "value": "The person opens a door."},
    ],
    "data_source": "0_30_s_academic_v0_1",
    "video": "academic_source/Charades/I6FEP.mp4",
}
VIDEO_LLAVA = {
    "id": "v_1",
    "video": "valley/000001/1.mp4",
    "conversations": [
        {"from": "human", "value": "<video>\nDescribe it briefly."},
        {"from": "gpt", "value": "A river."},
    ],
}
FASTVLM = {
    "id": "clip-1",
    "image": "clips/1.mp4",
    "conversations": [
        {"from": "human", "value": "<image>\nHow many squats?"},
        {"from": "gpt", "value": "Three."},
    ],
}
OPENAI = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "c.png", "detail": "low"}},
            ],
        },
        {"role": "assistant", "content": "A <video> of a cat."},
    ]
}
OPENAI_RESPONSES = {
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "c.png"},
                {"type": "input_text", "text": "What is it?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "A cat."}]},
    ]
}
VIDEO_URL = {
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "video_url", "video_url": {"url": "clips/1.mp4"}},
                {"type": "text", "text": "What is it?"},
            ],
        },
        {"role": "assistant", "content": "Rain."},
    ]
}
QWEN = {
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "video", "video": ["f/1.jpg", "f/2.jpg"], "sample_fps": 2.0},
                {"type": "text", "text": "What is it?"},
            ],
        },
        {"role": "assistant", "content": "Snow."},
    ]
}
MS_SWIFT = {
    "messages": [
        {"role": "user", "content": "<video><video>What differs?"},
        {"role": "assistant", "content": "The rain."},
    ],
    "videos": ["clips/1.mp4", ["f/1.jpg", "f/2.jpg"]],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_files(
        tmp_path,
        "coco/000000033471.jpg",
        "academic_source/Charades/I6FEP.mp4",
        "valley/000001/1.mp4",
        "clips/1.mp4",
        "c.png",
        "f/1.jpg",
        "f/2.jpg",
    )


def user_parts(record: Record, folder: Path) -> list[str]:
    """What the first user turn shows and says."""
    turn = next(turn for turn in record.conversations[0] if turn.role == "user")
    return [part if isinstance(part, str) else shown(part, folder) for part in turn.parts]


def shown(media: Media, folder: Path) -> str:
    names = [str(Path(path).relative_to(folder)) for path in media.frames or (media.path,)]
    return f"[{media.kind} {' '.join(names)}]"


@pytest.mark.parametrize(
    ("row", "name", "parts"),
    [
        (
            LLAVA_INSTRUCT,
            "llava",
            ["[image coco/000000033471.jpg]", "What are the colors of the bus?"],
        ),
        (
            LLAVA_VIDEO_178K,
            "llava",
            ["[video academic_source/Charades/I6FEP.mp4]", "What does the person do?"],
        ),
        (VIDEO_LLAVA, "llava", ["[video valley/000001/1.mp4]", "Describe it briefly."]),
        (FASTVLM, "llava", ["[video clips/1.mp4]", "How many squats?"]),
        (OPENAI, "messages", ["What is it?", "[image c.png]"]),
        (OPENAI_RESPONSES, "messages", ["[image c.png]", "What is it?"]),
        (VIDEO_URL, "messages", ["[video clips/1.mp4]", "What is it?"]),
        (QWEN, "messages", ["[video f/1.jpg f/2.jpg]", "What is it?"]),
        (
            MS_SWIFT,
            "messages",
            ["[video clips/1.mp4]", "[video f/1.jpg f/2.jpg]", "What differs?"],
        ),
    ],
)
def test_rows_are_passed_on(row: dict[str, Any], name: str, parts: list[str], folder: Path) -> None:
    origin = Origin(write_json(folder / "train.json", [row]))
    assert detect_format(origin) == name
    records, errors = outcome(read_native, origin)
    assert not errors
    (record,) = records.values()
    assert record.id == row.get("id", "train.json:1")
    assert user_parts(record, folder) == parts


def test_pictures_keep_their_rate(folder: Path) -> None:
    records, _ = outcome(read_native, Origin(write_json(folder / "train.json", [QWEN])))
    (record,) = records.values()
    assert record.media[0].view == View(frames_fps=2.0)


def test_local_addresses_are_files(folder: Path) -> None:
    row = json.loads(json.dumps(VIDEO_URL).replace("clips", f"file://{folder}/clips"))
    records, errors = outcome(read_native, Origin(write_json(folder / "train.json", [row])))
    assert not errors
    assert user_parts(records["train.json:1"], folder)[0] == "[video clips/1.mp4]"


def test_a_row_that_is_none_has_its_place(folder: Path) -> None:
    path = folder / "train.jsonl"
    bad = ["{", "7", '{"id": [], "messages": []}', '{"id": "a\\nb", "messages": []}']
    lines = [json.dumps(FASTVLM), *bad, json.dumps(QWEN)]
    path.write_text("\n".join(lines), encoding="utf-8")
    records, errors = outcome(read_native, Origin(path))
    assert list(records) == ["clip-1", "train.jsonl:6"]
    assert [error.split(" ", 2)[1] for error in errors] == [
        "train.jsonl:2:",
        "train.jsonl:3:",
        "train.jsonl:4:",
        "train.jsonl:5:",
    ]
    assert "is int; a row must be an object with keys" in errors[1]
    assert "'id' is []; it must be text or a whole number" in errors[2]
    assert "'id' is 'a\\nb'; it must be text that can be printed" in errors[3]
