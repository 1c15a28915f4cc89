"""Data sets of LLaMA-Factory, as dataset_info.json describes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures_benchmarks import make_files, outcome, write_json
from flipbook.data.formats.origin import Origin, origin_named
from flipbook.data.formats.sharegpt import read_dataset_info
from flipbook.data.formats.table import detect_format
from flipbook.data.records import Record
from flipbook.errors import ManifestError

MLLM_VIDEO = {
    "file_name": "mllm_video_demo.json",
    "formatting": "sharegpt",
    "columns": {"messages": "messages", "videos": "videos"},
    "tags": {
        "role_tag": "role",
        "content_tag": "content",
        "user_tag": "user",
        "assistant_tag": "assistant",
    },
}
MLLM_VIDEO_ROWS = [
    {
        "messages": [
            {"content": "<video>Why is this video funny?", "role": "user"},
            {"content": "A baby reads.", "role": "assistant"},
        ],
        "videos": ["mllm_demo_data/1.mp4"],
    }
]
SHAREGPT_ROWS = [
    {
        "conversations": [
            {"from": "human", "value": "<image>What is it?"},
            {"from": "gpt", "value": "A cat."},
        ],
        "system": "Be brief.",
        "pictures": ["mllm_demo_data/c.png"],
    },
    {
        "conversations": [
            {"from": "system", "value": "Be exact."},
            {"from": "human", "value": "Hi"},
            {"from": "gpt", "value": "Hello."},
        ],
        "system": "Be brief.",
    },
]
ALPACA_ROWS = [
    {
        "instruction": "<video>Say what moves.",
        "input": "Only the first.",
        "output": "A ball.",
        "history": [["Hi", "Hello"]],
        "videos": ["mllm_demo_data/1.mp4"],
    },
    {"instruction": "Hi", "input": "", "output": "Hello."},
]
INFO: dict[str, Any] = {
    "mllm_video_demo": MLLM_VIDEO,
    "talk": {
        "file_name": "talk.json",
        "formatting": "sharegpt",
        "columns": {"images": "pictures", "system": "system"},
    },
    "alpaca": {
        "file_name": "sub/alpaca.json",
        "columns": {"history": "history", "videos": "videos"},
    },
    "elsewhere": {"hf_hub_url": "someone/something"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_files(tmp_path, "mllm_demo_data/1.mp4", "mllm_demo_data/c.png", "sub/x")
    write_json(tmp_path / "dataset_info.json", INFO)
    write_json(tmp_path / "mllm_video_demo.json", MLLM_VIDEO_ROWS)
    write_json(tmp_path / "talk.json", SHAREGPT_ROWS)
    write_json(tmp_path / "sub" / "alpaca.json", ALPACA_ROWS)
    return tmp_path


def described(folder: Path, **changes: Any) -> Origin:
    """The only data set of a dataset_info.json, with some things otherwise."""
    write_json(folder / "dataset_info.json", {"mine": MLLM_VIDEO | changes})
    return Origin(folder / "dataset_info.json")


def said(record: Record) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in record.conversations[0]]


def test_a_part_of_several(folder: Path) -> None:
    origin = origin_named(f"{folder}/dataset_info.json#mllm_video_demo")
    assert detect_format(origin) == "dataset_info"
    records, errors = outcome(read_dataset_info, origin)
    assert not errors
    record = records["mllm_video_demo.json:1"]
    assert said(record) == [("user", "Why is this video funny?"), ("assistant", "A baby reads.")]
    assert record.media[0].path == str(folder / "mllm_demo_data" / "1.mp4")


def test_a_file_that_is_described_beside_it(folder: Path) -> None:
    origin = Origin(folder / "talk.json")
    assert detect_format(origin) == "dataset_info"
    records, errors = outcome(read_dataset_info, origin)
    assert not errors
    first, second = records.values()
    assert said(first)[0] == ("system", "Be brief.")
    assert first.media[0].path == str(folder / "mllm_demo_data" / "c.png")
    assert said(second)[0] == ("system", "Be exact.")  # that of the conversation comes first


def test_alpaca(folder: Path) -> None:
    origin = origin_named(f"{folder}/dataset_info.json#alpaca")
    records, errors = outcome(read_dataset_info, origin)
    assert not errors
    first, second = records.values()
    assert said(first) == [
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Say what moves.\nOnly the first."),
        ("assistant", "A ball."),
    ]
    assert len(first.media) == 1
    assert said(second) == [("user", "Hi"), ("assistant", "Hello.")]


def test_a_folder_of_files_is_one_data_set(folder: Path) -> None:
    write_json(folder / "sub" / "more.json", ALPACA_ROWS[1:])
    (folder / "sub" / "x").unlink()
    origin = described(folder, file_name="sub", formatting="alpaca", columns={"videos": "videos"})
    records, errors = outcome(read_dataset_info, origin)
    assert not errors
    assert list(records) == ["alpaca.json:1", "alpaca.json:2", "more.json:1"]


def test_other_files_beside_are_not_described(folder: Path) -> None:
    path = write_json(folder / "other.json", MLLM_VIDEO_ROWS)
    assert detect_format(Origin(path)) == "messages"
    (folder / "dataset_info.json").write_text("{", encoding="utf-8")
    assert detect_format(Origin(folder / "talk.json")) == "llava"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dataset_info.json", "describes several data sets: mllm_video_demo, talk, alpaca"),
        ("dataset_info.json", "name one as dataset_info.json#mllm_video_demo"),
        ("dataset_info.json#tlk", "describes no data set 'tlk'. Did you mean 'talk'?"),
        ("dataset_info.json#elsewhere", "has its data under 'hf_hub_url' and not in a file"),
    ],
)
def test_a_part_must_be_named(name: str, message: str, folder: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        list(read_dataset_info(origin_named(f"{folder}/{name}")))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"formatting": "sharegtp"}, "known are sharegpt, alpaca. Did you mean 'sharegpt'?"),
        ({"ranking": True}, "'mine' holds preferences ('ranking')"),
        ({"columns": ["messages"]}, "'columns' is ['messages']; it must be an object of names"),
        ({"file_name": "../talk.json"}, "../talk.json leads outside of its folder"),
        ({"file_name": "/etc/passwd"}, "/etc/passwd leads outside of its folder"),
        ({"file_name": "absent.json"}, "absent.json: does not exist"),
    ],
)
def test_what_is_wrong_with_a_description(
    changes: dict[str, Any], message: str, folder: Path
) -> None:
    with pytest.raises(ManifestError) as caught:
        list(read_dataset_info(described(folder, **changes)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({"role": "observation", "content": "x"}, "a turn is of 'observation'; calls of tools"),
        ({"role": "human", "content": "x"}, "unknown role 'human'; known are user, assistant"),
        ({"role": "user"}, "a turn has the keys role and misses 'content'; add it"),
    ],
)
def test_what_is_wrong_with_a_turn(turn: dict[str, Any], reason: str, folder: Path) -> None:
    write_json(folder / "mllm_video_demo.json", [{"messages": [turn]}])
    records, errors = outcome(read_dataset_info, described(folder))
    assert not records
    assert reason in errors[0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": 7, "output": "x"}, "'instruction' is 7; it must be text"),
        ({"input": "", "output": "x"}, "has no 'instruction'; add it, or mend 'columns'"),
        ({"instruction": "x"}, "has no 'output'; add it, or mend 'columns' in dataset_info.json"),
    ],
)
def test_what_is_wrong_with_a_row_of_alpaca(row: dict[str, Any], reason: str, folder: Path) -> None:
    write_json(folder / "mllm_video_demo.json", [row])
    origin = described(folder, formatting="alpaca", columns={})
    records, errors = outcome(read_dataset_info, origin)
    assert not records
    assert reason in errors[0]
