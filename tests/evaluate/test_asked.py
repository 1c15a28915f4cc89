"""Is what cannot be used left out by name, and are stills told from clips?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flipbook.data.generated.write import GeneratedData
from flipbook.data.records import Media, Record, Turn
from flipbook.data.sources import Source
from flipbook.errors import DataError
from flipbook.evaluate.asked import Asked, read_asked, split_still_images


def record_of(*media: Media) -> Record:
    turns = (Turn("user", (*media, "What?")), Turn("assistant", ("left",)))
    return Record(id="a", conversations=(turns,))


def test_still_images_are_told_from_clips() -> None:
    clip, image = Media("video", "/a.mp4"), Media("image", "/a.png")
    records = (record_of(clip), record_of(image), record_of(image, clip), record_of())
    clips, stills = split_still_images(records)
    assert clips == (records[0], records[2], records[3])
    assert stills == (records[1],)
    assert split_still_images(records[1:2]) == (records[1:2], ())


def test_damaged_files_leave_their_records_out(
    generated: GeneratedData, fast_vlm_folder: Path
) -> None:
    (clip, other, *_), (still, *_) = (
        json.loads(path.read_text()) for path in (generated.test, generated.images)
    )
    for name, source in (("cut.mp4", clip["video"]), ("cut.png", still["image"])):
        shutil.copy(generated.folder / source, generated.folder / name)
        (generated.folder / name).write_bytes((generated.folder / name).read_bytes()[:90])
    rows = [
        clip | {"id": "clip"},
        still | {"id": "still"},
        clip | {"id": "cut clip", "video": "cut.mp4"},
        still | {"id": "cut still", "image": "cut.png"},
        other | {"id": "again", "video": "cut.mp4"},
    ]
    path = generated.folder / "cut.json"
    path.write_text(json.dumps(rows))

    def read(max_bad_fraction: float) -> Asked:
        return read_asked(
            [Source(str(path))],
            model=fast_vlm_folder,
            max_questions=None,
            max_bad_fraction=max_bad_fraction,
            show_progress=False,
        )

    with pytest.raises(DataError, match=r"3 of 5 records (.|\n)*record cut clip: .*/cut\.mp4: "):
        read(0.5)
    asked = read(0.6)
    assert [record.id for record in asked.clips] == ["clip"]
    assert [record.id for record in asked.stills] == ["still"]
    assert [error.record_id for error in asked.left_out] == ["cut clip", "cut still", "again"]
