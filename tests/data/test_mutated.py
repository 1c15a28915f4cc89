"""Ten thousand broken records give ten thousand verdicts of one line, and open nothing else."""

from __future__ import annotations

import builtins
import copy
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from flipbook.data.converting.convert import convert
from flipbook.data.formats.origin import Origin
from flipbook.data.records import read_records
from flipbook.errors import DataError

NUM_NATIVE = 10_000
NUM_OTHERS = 700
FORBIDDEN = (
    "/dev/zero",
    "/etc/passwd",
    "/proc/self/mem",
    "../../../../../../etc/passwd",
    "../outside.mp4",
    "file:///etc/passwd",
    "file:///dev/zero",
    "http://example.com/a.mp4",
    "https://example.com/list.m3u8",
    "rtsp://example.com/a",
    "concat:a.mp4|/etc/passwd",
    "data:video/mp4;base64,AAAA",
    "list.m3u8",
    "pipe",
    "link.mp4",
    "a.mp4\0.png",
    "nothing.mp4",
    "empty.mp4",
    "line\nbreak.mp4",
    "para\u2029graph.mp4",
)
STRANGE: tuple[Any, ...] = (
    *FORBIDDEN,
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    10**300,
    "",
    " ",
    "\ud800",
    "half \udc80 of it",
    "<video>" * 40,
    "<image>\n<video>",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": ""},
    ["a.mp4", "c.png"],
    ["c.png", "c.png"],
    {"path": "/etc/passwd"},
    {"url": "http://example.com"},
    {"path": "a.mp4", "start_s": -1},
    {"path": "a.mp4", "start_s": "soon", "times_s": {}},
    {"type": "video", "video": {"url": {"url": []}}},
)

LLAVA = {
    "id": "r",
    "video": "a.mp4",
    "conversations": [
        {"from": "human", "value": "<video>\nWhy?"},
        {"from": "gpt", "value": "Rain."},
    ],
}
MESSAGES = {
    "id": "r",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "video", "path": "a.mp4", "start_s": 0.5, "end_s": 2},
                {"type": "video", "frames": ["c.png", "c.png"], "frames_fps": 2},
                {"type": "image_url", "image_url": {"url": "c.png"}},
                {"type": "text", "text": "Why?"},
            ],
        },
        {"role": "assistant", "content": "Rain."},
    ],
    "clip": {"num_frames": 4, "sampler": "uniform"},
    "kind": "multiple_choice",
    "options": ["Rain.", "Snow."],
    "answer": "Rain.",
    "references": ["Rain."],
    "spans": [[0.5, 1.5]],
    "split": "val",
    "group": 7,
}
SWIFT = {
    "query": "<video>Why?",
    "response": "Rain.",
    "history": [["Hi", "Hello"]],
    "videos": [["c.png", "c.png"]],
    "system": "Be brief.",
}
TRL = {
    "prompt": [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Why?"}]}],
    "completion": [{"role": "assistant", "content": "Rain."}],
    "videos": ["a.mp4"],
}
SWAPPED = {
    "conversations": [
        {"role": "user", "content": "<image>\nWhy?"},
        {"role": "assistant", "content": "Rain."},
    ],
    "image": "c.png",
}
TABLE = {
    "id": "r",
    "video": "a.mp4",
    "question": "Why?",
    "answer": "Rain",
    "options": "Rain|Snow",
    "start": 0.5,
    "end": "0:02",
    "split": "test",
    "references": ["Rain"],
}
CHOICE = {"video": "a.mp4", "question": "Why?", "candidates": ["Rain", "Snow"], "answer": "Rain"}
ROWS: dict[str, dict[str, Any]] = {
    "turns": SWAPPED,
    "prompt_completion": TRL,
    "query_response": SWIFT,
    "video_instruct": {"q": "Why?", "a": "Rain.", "video_id": "a"},
    "choices": CHOICE,
    "mvbench": CHOICE,
    "columns": TABLE,
    "dataset_info": LLAVA | {"videos": ["a.mp4"], "system": "Be brief."},
    "nextqa": {
        "video": "a",
        "question": "why is it wet",
        "answer": 3,
        "qid": 6,
        "type": "CW",
        **{f"a{place}": f"rain {place}" for place in range(5)},
    },
    "star": {
        "question_id": "Interaction_T1_13",
        "question": "Which object was tidied up?",
        "video_id": "a",
        "start": 0.5,
        "end": 1.5,
        "answer": "The towel.",
        "choices": [{"choice_id": 0, "choice": "The towel."}, {"choice_id": 1, "choice": "It."}],
    },
    "msvd_qa": {"video_id": "a", "question": "what rains", "answer": "rain", "id": 7},
    "captions": {"video": "a.mp4", "caption": "Rain falls."},
    "qevd": {"video_path": "./a.mp4", "split": "train", "labels_descriptive": ["Rain falls."]},
}
SEVERAL = ("captions", "qevd")  # formats in which one row may become several
DATASET_INFO = {
    "mine": {
        "file_name": "data.jsonl",
        "formatting": "sharegpt",
        "columns": {"videos": "videos", "system": "system"},
    }
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a.mp4", "c.png", "list.m3u8"):
        (data / name).write_bytes(b"x")
    (data / "empty.mp4").touch()
    (tmp_path / "outside.mp4").write_bytes(b"x")
    (data / "link.mp4").symlink_to("/etc/passwd")
    os.mkfifo(data / "pipe")
    (data / "dataset_info.json").write_text(json.dumps(DATASET_INFO), encoding="utf-8")
    return data


@pytest.fixture
def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was opened outside the folder, or must not be opened inside it."""
    found: list[str] = []
    harmless = {str(folder / name) for name in ("data.jsonl", "dataset_info.json")}

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(path: Any, *args: Any, **kwargs: Any) -> Any:
            name = os.path.abspath(os.fspath(path)) if not isinstance(path, int) else "fd"
            is_ours = name in harmless or name.startswith(str(folder / "out"))
            if not is_ours and not name.startswith(os.path.dirname(os.__file__)):
                found.append(name)
            return real(path, *args, **kwargs)

        return opening

    for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (av, "open")):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    return found


def nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value, as a container and a key in it."""
    keys = value if isinstance(value, dict) else range(len(value)) if type(value) is list else ()
    for key in list(keys):
        yield value, key
        yield from nodes(value[key])


def mutated(row: dict[str, Any], rng: random.Random) -> bytes:
    """A row with one to three things wrong, as a line of JSONL."""
    row = copy.deepcopy(row)
    for _ in range(rng.randint(1, 3)):
        places = list(nodes(row))
        if not places:
            break
        holder, key = rng.choice(places)
        other, other_key = rng.choice(places)
        change = rng.randrange(6)
        if change == 0:
            del holder[key]
        elif change <= 2:
            holder[key] = copy.deepcopy(rng.choice(STRANGE))
        elif change == 3:
            value = copy.deepcopy(other[other_key])
            other[other_key], holder[key] = copy.deepcopy(holder[key]), value
        elif change == 4:
            holder[key] = [copy.deepcopy(holder[key])] * rng.randint(1, 3)
        elif isinstance(holder, dict):
            holder[str(key)[:-1] or "x"] = holder.pop(key)
    return broken(json.dumps(row, ensure_ascii=rng.random() < 0.8), rng)


def broken(text: str, rng: random.Random) -> bytes:
    """Perhaps something that is no JSON at all."""
    change = rng.randrange(30)
    place = rng.randrange(len(text))
    number = "9" * rng.choice((20, 5000))
    texts = {
        0: text.replace(": ", ": NaN, ", 1),
        1: "{" + '"id": 1, ' + text[1:],
        2: text[:place],
        3: text[:place] + text[place + 1 :],
        4: '{"deep": ' + "[" * 50_000 + "]" * 50_000 + "}",
        5: '{"deep": ' + "[" * 400 + "]" * 400 + ", " + text[1:],
        6: text.replace('"Why?"', number).replace('"r"', number),
        7: text.replace('"Why?"', "-Infinity"),
        8: rng.choice(("[]", "7", '"text"', "null", "{}", "}")),
    }
    line = texts.get(change, text).encode("utf-8", "surrogatepass")
    if change == 9:
        line = line[:place] + b"\xff\xfe" + line[place:]
    return line.replace(b"\n", b" ") or b"x"


def write(path: Path, rows: list[dict[str, Any]], number: int, *, seed: int) -> None:
    """As many mutated rows, behind enough sound ones to tell the format by."""
    rng = random.Random(seed)
    lines = [mutated(rng.choice(rows), rng) for _ in range(number)]
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines) + b"\n")


def verdicts(folder: Path, format_name: str) -> tuple[int, list[str]]:
    """How many rows were written, and the reasons of all others."""
    out = folder / "out" / "rows.jsonl"
    origin = Origin(folder / "data.jsonl")
    try:
        convert(origin, format_name=format_name, out=out, max_bad_fraction=1.0)
        num_rows = len(out.read_text(encoding="utf-8").splitlines())
    except DataError as error:
        assert "no record can be used" in str(error)  # noqa: PT017
        num_rows = 0
    rejected = out.with_name("rows.rejected.jsonl")
    lines = rejected.read_text(encoding="utf-8").splitlines()
    return num_rows, [json.loads(line)["reason"] for line in lines]


def test_the_watch_sees_what_is_opened(folder: Path, opened: list[str]) -> None:
    (folder / "a.mp4").read_bytes()
    os.close(os.open("/dev/null", os.O_RDONLY))
    av.open(str(folder / "c.png")).close()
    assert opened == [str(folder / "a.mp4"), "/dev/null", str(folder / "c.png")]


def test_native_records(folder: Path, opened: list[str]) -> None:
    write(folder / "data.jsonl", [LLAVA, MESSAGES], NUM_NATIVE, seed=0)
    read = read_records(folder / "data.jsonl")
    assert len(read.records) + len(read.rejected) == NUM_NATIVE
    assert len(read.records) > NUM_NATIVE / 20
    assert len(read.rejected) > NUM_NATIVE / 4
    num_rows, reasons = verdicts(folder, "messages")
    assert num_rows == len(read.records)
    assert len(reasons) == len(read.rejected)
    assert all(reason and len(reason.splitlines()) == 1 for reason in reasons)
    assert "Traceback" not in "".join(reasons)
    assert opened == []
    again = read_records(folder / "out" / "rows.jsonl", image_folder=folder)
    assert [record.conversations for record in again.records] == [
        record.conversations for record in read.records
    ]
    assert not again.rejected


@pytest.mark.parametrize("name", ROWS)
def test_records_of_other_formats(name: str, folder: Path, opened: list[str]) -> None:
    write(folder / "data.jsonl", [ROWS[name]], NUM_OTHERS, seed=len(name))
    num_rows, reasons = verdicts(folder, name)
    assert num_rows + len(reasons) == NUM_OTHERS or name in SEVERAL
    assert num_rows + len(reasons) >= NUM_OTHERS
    assert num_rows > 1
    assert reasons
    assert all(reason and len(reason.splitlines()) == 1 for reason in reasons)
    assert opened == []
