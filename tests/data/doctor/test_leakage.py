"""Nothing of an evaluation was trained on, whatever it is called."""

from __future__ import annotations

import pytest

from flipbook.data.doctor.findings import Finding
from flipbook.data.doctor.leakage import find_leaks
from flipbook.data.doctor.ledger import Entry


def entry(name: str, split: str, *contents: str, group: str | None = None) -> Entry:
    """An entry whose media are numbered by letters: 'A' is the content of /A.mp4."""
    return Entry(0, 1, name, split=split, group=group, media=tuple(map(ord, contents)))


def contents_of(entry: Entry) -> list[tuple[str, str]]:
    """Small letters are other names of the same content."""
    return [(chr(number).upper(), f"/{chr(number)}.mp4") for number in entry.media]


def leaks(*entries: Entry) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for leaking, finding in find_leaks(entries, contents_of):
        found.setdefault(leaking.record_id, []).append(finding.code)
    return found


def test_training_gives_way_to_validation_and_that_to_test() -> None:
    entries = [
        entry("t1", "train", "A"),
        entry("t2", "train", "B"),
        entry("t3", "train", "C"),
        entry("v1", "validation", "A", "B"),
        entry("v2", "validation", "B"),
        entry("e1", "test", "A"),
    ]
    assert leaks(*entries) == {"v1": ["leak_clip"], "t1": ["leak_clip"], "t2": ["leak_clip"]}


def test_what_gives_way_keeps_nothing_from_others() -> None:
    entries = [
        entry("t1", "train", "B"),
        entry("v1", "validation", "A", "B"),
        entry("e1", "test", "A"),
    ]
    assert leaks(*entries) == {"v1": ["leak_clip"]}


def test_records_that_are_left_out_anyway_count_for_nothing() -> None:
    bad = entry("e1", "test", "A")
    bad.findings.append(Finding("damaged", "is damaged"))
    assert leaks(entry("t1", "train", "A"), bad) == {}
    noted = entry("e1", "test", "A")
    noted.findings.append(Finding("rotated", "is turned"))
    assert leaks(entry("t1", "train", "A"), noted) == {"t1": ["leak_clip"]}


def test_groups_are_not_divided() -> None:
    entries = [
        entry("t1", "train", "A", group="person-1"),
        entry("t2", "train", "B", group="person-2"),
        entry("v1", "validation", "C", group="person-1"),
    ]
    assert leaks(*entries) == {"t1": ["leak_group"]}


def test_one_split_leaks_nothing() -> None:
    assert leaks(entry("a", "train", "A"), entry("b", "train", "A")) == {}


@pytest.mark.parametrize(("name", "told"), [("A", "too;"), ("a", "too under the name /A.mp4;")])
def test_what_is_shared_is_told(name: str, told: str) -> None:
    entries = [
        entry("t1", "train", name, group="g"),
        entry("v1", "validation", "A", group="g"),
    ]
    (_, clip), (_, group) = find_leaks(entries, contents_of)
    assert clip.path == f"/{name}.mp4"
    assert clip.reason.startswith(f"is shown by record v1 of the validation split {told}")
    assert group.reason.startswith("is of group 'g', as is record v1 of the validation split;")
