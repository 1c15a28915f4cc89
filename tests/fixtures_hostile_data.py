"""Which data sets try to reach what nobody named, and how is all of one read?

    make_data_sets(folder) -> {name: file or folder, in a folder `data` beside a secret}
    read_all(corpus, data_sets, out)    reads every hostile file, and converts every data set

Run as a program, this file reads all of a folder that was made before, so that a tracer can watch.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fixtures_hostile import DAMAGED, ODD, PICTURES_REFUSED, REFUSED
from flipbook.data.converting.convert import convert
from flipbook.data.formats.origin import Origin
from flipbook.data.formats.table import FORMATS
from flipbook.errors import FlipbookError
from flipbook.video import probe, read_clip
from flipbook.video.frames import image_pixels

BEGIN = "/flipbook-begins-to-read"  # no such file; a tracer sees that it was asked for
SECRETS = ("secret.mp4", "secret.jsonl", "secret.parquet", "secret.csv")


def reaching_out(outside: Path) -> list[str]:
    """Return what a row may name that it must not reach."""
    secret = outside / "secret.mp4"
    return [
        "a.mp4",
        "../outside/secret.mp4",
        str(secret),
        f"file://{secret}",
        f"FILE://{secret}",
        "link.mp4",
        "folder-out/secret.mp4",
        "folder-out/../outside/secret.mp4",
        "folder-out",
        "frames-out",
        "/etc/passwd",
        "/proc/self/environ",
        "http://127.0.0.1:9/a.mp4",
        "HTTPS://127.0.0.1:9/a.mp4",
        "//127.0.0.1/a.mp4",
        "data:video/mp4;base64,AAAA",
        f"concat:{secret}|a.mp4",
        f"subfile,,start,0,end,0,,:{secret}",
        f"cache:{secret}",
        "rtsp://127.0.0.1:9/a",
        "~/secret.mp4",
        "$HOME/secret.mp4",
        "a.mp4\0../outside/secret.mp4",
    ]


def make_data_sets(folder: Path, clip: Path) -> dict[str, Path]:
    """Write one data set for each container, all of whose rows and links lead outside."""
    data, outside = folder / "data", folder / "outside"
    for place in (data, outside):
        place.mkdir(parents=True)
    shutil.copy(clip, data / "a.mp4")
    shutil.copy(clip, outside / "secret.mp4")
    (data / "link.mp4").symlink_to(outside / "secret.mp4")
    (data / "folder-out").symlink_to(outside)
    (data / "frames-out").mkdir()
    (data / "frames-out" / "1.png").symlink_to(outside / "secret.mp4")
    names = reaching_out(outside)
    rows = [
        {"id": f"r{number}", "video": name, "question": "Why?", "answer": "Rain."}
        for number, name in enumerate(names)
    ]
    messages = [_as_messages(row) for row in rows]
    table = pa.Table.from_pylist(rows)
    for name, content in {"rows.jsonl": rows, "messages.jsonl": messages}.items():
        (data / name).write_text("".join(json.dumps(row) + "\n" for row in content))
    shutil.copy(data / "rows.jsonl", outside / "secret.jsonl")
    pq.write_table(table, data / "rows.parquet")
    pq.write_table(table, outside / "secret.parquet")
    lines = [",".join(row.values()) for row in rows[:-1] if "," not in row["video"]]
    for place in (data / "rows.csv", outside / "secret.csv"):
        place.write_text("\n".join([",".join(rows[0]), *lines]))
    tables = ("rows.jsonl", "messages.jsonl", "rows.parquet", "rows.csv")
    return {name: data / name for name in tables} | _folders(folder, outside)


def _as_messages(row: dict[str, Any]) -> dict[str, Any]:
    part = {"type": "video", "path": row["video"]}
    asked = {"role": "user", "content": [part, {"type": "text", "text": row["question"]}]}
    return {"id": row["id"], "messages": [asked, {"role": "assistant", "content": row["answer"]}]}


def _folders(folder: Path, outside: Path) -> dict[str, Path]:
    """Folders whose own lists, shards and classes are links that lead out of them."""
    links = {
        "listed": {"metadata.csv": "secret.csv"},
        "listed-jsonl": {"metadata.jsonl": "secret.jsonl"},
        "shards": {"train.parquet": "secret.parquet"},
        "shards-below": {"train": "."},
        "saved": {"state.json": "secret.jsonl"},
        "classes": {"running": ".", "sitting/a.mp4": "secret.mp4", "lying/b.mp4": "secret.mp4"},
        "described": {"dataset_info.json": "secret.jsonl"},
    }
    for name, inner in links.items():
        for place, target in inner.items():
            path = folder / name / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(outside / target)
    return {name: folder / name for name in links}


def read_all(corpus: Path, data_sets: dict[str, Path], out: Path) -> list[str]:
    """Read everything; return the reasons of all that was refused."""
    said: list[str] = []
    for name in (*ODD, *REFUSED, *DAMAGED, *PICTURES_REFUSED):
        path = name if "://" in name else os.path.join(corpus, name)
        for read in (read_clip, probe, image_pixels):
            with contextlib.suppress(FlipbookError):
                read(path)
    for name, path in data_sets.items():
        for format_name in (None, *FORMATS):
            origin = Origin(path, extracted=out / "extracted")
            rows = out / f"{name}-{format_name}.jsonl"
            try:
                convert(origin, format_name=format_name, out=rows, max_bad_fraction=1.0)
            except FlipbookError as error:
                said.append(str(error))
            rejected = rows.with_name(f"{rows.stem}.rejected.jsonl")
            if rejected.is_file():
                said += [json.loads(line)["reason"] for line in rejected.read_text().splitlines()]
    return said


if __name__ == "__main__":
    root = Path(sys.argv[1])
    sets = {path.name: path for path in map(Path, sys.argv[2:])}
    with contextlib.suppress(OSError):
        os.open(BEGIN, os.O_RDONLY)
    read_all(root, sets, root.parent / "traced")
