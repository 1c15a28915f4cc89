from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fixtures_data import Tune
from flipbook.data.generated.write import GeneratedData
from flipbook.data.sources import Source
from flipbook.train.data_summary import without_folders
from flipbook.train.record import file_sha256


def _summary(run_folder: Path) -> dict[str, Any]:
    text = (run_folder / "data.json").read_text()
    assert str(run_folder.parent) not in text
    content: dict[str, Any] = json.loads(text)
    return content


def test_a_run_tells_what_its_data_were(tune: Tune, generated: GeneratedData) -> None:
    found = _summary(tune(validation_data_path=generated.validation, max_steps=1).run_folder)
    assert str(generated.folder) not in json.dumps(found)
    rows = json.loads(generated.train.read_text())
    train = found["train"]
    assert train["files"] == [
        {
            "file": "train.json",
            "sha256": file_sha256(generated.train),
            "num_records": len(rows),
        }
    ]
    assert train["num_records"] == train["num_conversations"] == len(rows)
    assert train["num_rejected"] == 0
    assert train["rejected"] == []
    assert train["num_videos"] == len({row["video"] for row in rows if "video" in row})
    assert train["num_images"] == len({row["image"] for row in rows if "image" in row})
    assert 0 < train["median_tokens"] <= train["longest_tokens"]
    assert sum(train["tasks"].values()) == len(rows)
    assert train["tasks"]["order"] == sum(row["task"] == "order" for row in rows)
    assert found["validation"]["files"][0]["file"] == "validation.json"


def test_what_was_left_out_is_listed_with_reasons_and_without_folders(
    tune: Tune, generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flipbook.train.data_summary.MAX_REASONS", 2)
    rows = json.loads(generated.train.read_text())[:4]
    for row in rows[1:]:
        row.update(id=f"gone-{row['id']}", video="clips/gone.mp4")
        row.pop("task")
    manifest = generated.folder / "three_gone.json"
    manifest.write_text(json.dumps(rows))
    found = _summary(tune(data_path=manifest, max_bad_fraction=0.9, max_steps=1).run_folder)
    assert found["validation"] is None
    train = found["train"]
    assert (train["num_records"], train["num_rejected"]) == (4, 3)
    assert len(train["rejected"]) == 2
    assert train["rejected"][0]["record_id"] == rows[1]["id"]
    assert train["rejected"][0]["reason"].startswith("clips/gone.mp4")
    assert train["tasks"] == {rows[0]["task"]: 1}


Named = Callable[[Path], Source]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{0}/clips/a b/c.mp4 is missing", "a b/c.mp4 is missing"),
        ("{0}/train.json and {0}/clips/x.mp4", "train.json and x.mp4"),
        ("/other/deep/c.mp4: leads outside of {0}/clips", "c.mp4: leads outside of clips"),
        ("'/c.mp4', \"/d/e.mp4\"", "'c.mp4', \"e.mp4\""),
        ("C:\\data\\c.mp4 is missing", "c.mp4 is missing"),
        ("3 / 4 of and/or </s> https://a.b/c", "3 / 4 of and/or </s> https://a.b/c"),
        ("clips/a.mp4 has no frame at 1.0 s", "clips/a.mp4 has no frame at 1.0 s"),
    ],
)
def test_reasons_name_no_folder_of_the_machine(tmp_path: Path, text: str, expected: str) -> None:
    source = Source(str(tmp_path / "train.json"), str(tmp_path / "clips"))
    assert without_folders(text.format(tmp_path), [source]) == expected
