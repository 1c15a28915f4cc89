"""What do the tests of the doctor share?

row, write_rows     ->  manifests
serial              ->  files are read in this process, and those that are read are listed
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures_table import encoder, say
from flipbook.data.doctor import reading
from flipbook.data.doctor.check import check_manifests
from flipbook.data.doctor.checked import Checked
from flipbook.data.doctor.examine import Examined
from flipbook.data.doctor.ledger import OWN_SPLIT, Manifest
from flipbook.data.doctor.pool import verdict_on
from flipbook.data.extras import SPLITS
from flipbook.data.sources import Source
from flipbook.data.turns import Media
from flipbook.video.settings import ClipSettings

SETTINGS = ClipSettings(frame_size=128, num_frames=2)


def row(row_id: str | None, path: str | None, said: str = "A ball.", **more: Any) -> Any:
    """Return a row of LLaVA's form about one file."""
    question = more.pop("question", "What moves?")
    name = {} if row_id is None else {"id": row_id}
    key = "image" if path is not None and path.endswith(".png") else "video"
    media = {} if path is None else {key: path}
    return {**name, **media, "conversations": say(question, said), **more}


def write_rows(path: Path, rows: list[Any]) -> Path:
    """Write rows as JSONL; a text is a line as it is."""
    lines = [line if isinstance(line, str) else json.dumps(line) for line in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def manifest_at(path: Path, split: str = OWN_SPLIT) -> Manifest:
    return Manifest(Source(str(path)), split)


def check(*paths: Path, out: Path, limit: int | None = None, **more: Any) -> Checked:
    """Check manifests: the first by its own splits; others as the keywords `SPLITS` say."""
    image_folder = more.pop("image_folder", None)
    named = {OWN_SPLIT: paths, **{split: more.pop(split) for split in SPLITS if split in more}}
    sources = {
        split: [Source(str(path), image_folder) for path in several]
        for split, several in named.items()
    }
    words = {"settings": SETTINGS, "encoder": encoder(limit), "num_workers": 1} | more
    return check_manifests(sources, out=out, **words)


def codes_of(checked: Checked) -> dict[str, list[str]]:
    """Return the codes of the records that are left out."""
    found: dict[str, list[str]] = {}
    for one in checked.quarantined:
        found.setdefault(one.record_id, []).append(one.code)
    return found


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let files be read in this process, one by one; return the names of those that were."""
    names: list[str] = []

    def run(
        work: Callable[[Media], Examined], items: Iterator[Media], **_: Any
    ) -> Iterator[tuple[Media, Examined]]:
        for item in items:
            names.append(Path(item.path).name)
            try:
                yield item, work(item)
            except ValueError as error:
                yield item, verdict_on(error, item, timeout_s=1.0)

    monkeypatch.setattr(reading, "run_in_pool", run)
    return names
