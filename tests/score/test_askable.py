"""Is what cannot be asked about found before the first answer, and nothing looked at in vain?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flipbook.data.generated.write import GeneratedData
from flipbook.data.records import read_records
from flipbook.data.shown import read_shown
from flipbook.data.sources import Source
from flipbook.errors import DataError
from flipbook.score import askable
from flipbook.score.askable import damaged_media, read_askable
from flipbook.video.settings import ClipSettings

SETTINGS = ClipSettings(frame_size=64, num_frames=2)


def _manifest(generated: GeneratedData, *, bad: list[int]) -> Path:
    """Return six records about six clips, of which some are cut short."""
    rows = {row["video"]: row for row in json.loads(generated.test.read_text())}
    chosen = [
        row | {"id": f"r{number}", "task": "t"} for number, row in enumerate([*rows.values()][:6])
    ]
    for number in bad:
        clip = generated.folder / chosen[number]["video"]
        cut = generated.folder / f"cut-{number}.mp4"
        cut.write_bytes(clip.read_bytes()[:900])
        chosen[number] |= {"video": cut.name}
    path = generated.folder / "six.json"
    path.write_text(json.dumps(chosen))
    return path


def test_what_tells_no_right_answer_counts_as_unusable(generated: GeneratedData) -> None:
    path = _manifest(generated, bad=[])
    rows = json.loads(path.read_text())
    rows[2] |= {"kind": "count", "answer": "several"}
    rows[3] |= {"task": "mean"}
    path.write_text(json.dumps(rows))
    sources = [Source(str(path))]
    with pytest.raises(DataError, match=r"2 of 6 records(.|\n)*record r3: 'task'(.|\n)*record r2"):
        read_askable(sources, max_bad_fraction=0.2)
    found = read_askable(sources, max_bad_fraction=0.4)
    assert [record.id for record in found.records] == ["r0", "r1", "r4", "r5"]
    assert {error.record_id for error in found.rejected} == {"r2", "r3"}


def test_damaged_clips_are_found_with_their_reasons(generated: GeneratedData) -> None:
    records = read_records(_manifest(generated, bad=[1, 4])).records
    told: list[tuple[int, int]] = []
    found = damaged_media(
        records, settings=SETTINGS, on_progress=lambda done, total: told.append((done, total))
    )
    assert [Path(item.path).name for item in found] == ["cut-1.mp4", "cut-4.mp4"]
    assert all(f"{item.path}: cannot be read" in reason for item, reason in found.items())
    assert told == [(6, 6)]


def test_only_what_is_asked_about_is_looked_at(
    generated: GeneratedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one question, the first clip; and as that is damaged, the next one."""
    seen: list[str] = []

    def look(item: askable.Media, settings: ClipSettings) -> object:
        seen.append(Path(item.path).name)
        return read_shown(item, settings)

    monkeypatch.setattr(askable, "read_shown", look)
    records = read_records(_manifest(generated, bad=[0])).records
    found = damaged_media(records, settings=SETTINGS, max_questions=1)
    assert [Path(item.path).name for item in found] == ["cut-0.mp4"] == seen[:1]
    assert len(seen) == 2
