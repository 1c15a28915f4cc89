"""ActivityNet Captions and Charades-STA become questions when something happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures_benchmarks import asked, make_files, outcome, recognised, shown_path, write_json
from flipbook.data.formats.dense import (
    is_activitynet,
    is_charades_sta,
    read_activitynet,
    read_activitynet_segments,
    read_charades_sta,
)
from flipbook.data.formats.origin import Head, Origin

CHARADES = """\
AO8RW 0.0 6.9##a person is putting a book on a shelf.
AO8RW 3 12.45##a person closes it.

Y6R7T 0.0 6.9##person begins to play.
AO8RW 6.9 0.5##person turns.
AO8RW person opens a door.
"""


def dense(**changes: Any) -> dict[str, Any]:
    return {
        "duration": 82.73,
        "timestamps": [[0.83, 19.86], [17.37, 60.81]],
        "sentences": ["A young woman is seen. ", " She dances."],
    } | changes


CONTENT: dict[str, Any] = {
    "v_QOlSCBRmfWY": dense(),
    "v_short": dense(sentences=["One."]),
    "v_odd": dense(timestamps=[[5, 2], [1, "x"]], sentences=["a", "b"]),
    "v_pair": dense(timestamps=[[5], [1, 2]], sentences=["a", ""]),
    "v_none": {"timestamps": None, "sentences": []},
    "v_gone": dense(),
}


def write_dense(folder: Path) -> Path:
    make_files(folder, "v_QOlSCBRmfWY.mp4", "more/short.mkv", "v_odd.mp4", "v_pair.mp4")
    make_files(folder, "v_none.mp4")
    return write_json(folder / "val_1.json", CONTENT)


def test_events_of_activitynet_captions_are_asked_for(tmp_path: Path) -> None:
    path = write_dense(tmp_path)
    assert recognised(path) == ["activitynet"]
    records, errors = outcome(read_activitynet, Origin(path))
    assert list(records) == ["v_QOlSCBRmfWY_0", "v_QOlSCBRmfWY_1"]
    first, second = records.values()
    assert asked(first) == (
        'When does this happen: "A young woman is seen"? Give the start and the end in seconds.',
        "From 0.8 to 19.9 seconds.",
    )
    assert first.extras.spans == ((0.83, 19.86),)
    assert second.extras.spans == ((17.37, 60.81),)
    assert (first.extras.kind, first.extras.group) == ("when", "QOlSCBRmfWY")
    assert first.extras.answer == "From 0.8 to 19.9 seconds."
    assert first.extras.split == "validation"
    assert first.media[0].view.end_s is None
    assert errors[:5] == [
        "record v_short: has 2 timestamps for 1 sentences; mend it",
        "record v_odd_0: ends at 2 s and starts at 5 s; mend its timestamps",
        "record v_odd_1: 'timestamps' is 'x'; it must be seconds, from 0 on",
        "record v_pair_0: its timestamps are [5]; they must be two instants",
        "record v_pair_1: has no 'sentences'; add it or remove the row",
    ]
    assert errors[5] == "record v_none: has no lists of 'timestamps' and 'sentences'; add them"
    assert errors[6].startswith("record v_gone: no video 'v_gone' in ")


def test_stretches_of_activitynet_captions_are_described(tmp_path: Path) -> None:
    path = write_dense(tmp_path)
    records, errors = outcome(read_activitynet_segments, Origin(path))
    assert len(errors) == 7
    record = records["v_QOlSCBRmfWY_1"]
    assert asked(record) == ("Describe this video.", "She dances.")
    assert (record.media[0].view.start_s, record.media[0].view.end_s) == (17.37, 60.81)
    assert (record.extras.kind, record.extras.references) == ("caption", ("She dances.",))
    assert (record.extras.answer, record.extras.group) == ("She dances.", "QOlSCBRmfWY")
    prompted = Origin(path, prompt="What happens?")
    assert asked(outcome(read_activitynet_segments, prompted).records[record.id])[0] == (
        "What happens?"
    )


def test_a_video_may_be_called_without_its_first_letters(tmp_path: Path) -> None:
    make_files(tmp_path, "more/short.mkv")
    path = write_json(tmp_path / "train.json", {"v_short": dense()})
    records, errors = outcome(read_activitynet, Origin(path))
    assert not errors
    assert shown_path(records["v_short_0"], tmp_path) == "more/short.mkv"


def test_lines_of_charades_sta_are_asked_for(tmp_path: Path) -> None:
    make_files(tmp_path, "Charades_v1_480/AO8RW.mp4")
    path = tmp_path / "charades_sta_train.txt"
    path.write_text(CHARADES, encoding="utf-8")
    assert recognised(path) == ["charades_sta"]
    records, errors = outcome(read_charades_sta, Origin(path))
    assert list(records) == ["charades_sta_train.txt:1", "charades_sta_train.txt:2"]
    first, second = records.values()
    assert asked(first) == (
        'When does this happen: "a person is putting a book on a shelf"? Give the start and the '
        "end in seconds.",
        "From 0.0 to 6.9 seconds.",
    )
    assert (first.extras.spans, second.extras.spans) == (((0.0, 6.9),), ((3.0, 12.45),))
    assert (first.extras.kind, first.extras.group) == ("when", "AO8RW")
    assert first.extras.split == "train"
    assert shown_path(first, tmp_path) == "Charades_v1_480/AO8RW.mp4"
    assert errors[0].startswith("record charades_sta_train.txt:4: no video 'Y6R7T' in ")
    assert errors[1:] == [
        "record charades_sta_train.txt:5: ends at 0.5 s and starts at 6.9 s; mend its timestamps",
        "record charades_sta_train.txt:6: is 'AO8RW person opens a door.'; a line is an id, start, "
        "end, ## and a sentence",
    ]


@pytest.mark.parametrize("content", [b"", b"a list of clips\n", b"\xff\xfe"])
def test_other_text_is_not_that_of_charades_sta(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    assert not is_charades_sta(Head(path, ()))


@pytest.mark.parametrize("content", [{}, {"a": 1}, {"a": dense(), "b": {}}])
def test_other_objects_are_not_those_of_activitynet_captions(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    assert not is_activitynet(Head(tmp_path / "a.json", (content,), is_object=True))
