"""No two rows have one name, and what a row is called never depends on later ones."""

from __future__ import annotations

import random

import pytest

from flipbook.data.record_ids import RecordIds


def names_of(ids: list[str]) -> list[str]:
    found = RecordIds(ids)
    assert found.num_rows == len(ids)
    return [found.name(row_id) for row_id in ids]


def by_remembering(ids: list[str]) -> list[str]:
    """Return the same by keeping every name."""
    num_of: dict[str, int] = {}
    names = []
    for row_id in ids:
        name = row_id
        while name in num_of:
            num_of[row_id] += 1
            name = f"{row_id}#{num_of[row_id]}"
        num_of[name] = 1
        names.append(name)
    return names


def test_names_are_those_that_remembering_all_of_them_gives() -> None:
    choice = random.Random(0)  # noqa: S311 - nothing secret
    forms = ["a", "a#2", "a#3", "a#2#2", "a#02", "a#1", "#2", "", "b\n", "b\n#2", "\ud83c", "a#"]
    for _ in range(300):
        ids = choice.choices(forms, k=12)
        names = names_of(ids)
        assert names == by_remembering(ids), ids
        assert len(set(names)) == len(names)


def test_thousands_of_one_id_are_numbered() -> None:
    names = names_of(["clip"] * 5000 + ["clip#4000", "clip#6000", "clip"])
    assert names[:2] + names[4999:] == [
        "clip",
        "clip#2",
        "clip#5000",
        "clip#4000#2",
        "clip#6000",
        "clip#5001",
    ]


def test_an_id_that_was_not_announced_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="'b' is none of the ids that were given"):
        RecordIds(["a"]).name("b")
