"""How far two tokenisations of one text are apart."""

from __future__ import annotations

import pytest

from flipbook.data.labels.tokens import num_different


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([], [], 0),
        ([1, 2, 3], [1, 2, 3], 0),
        ([1, 9, 3], [1, 2, 3], 1),
        ([1, 2, 2, 3], [1, 5, 3], 1),
        ([1, 2, 3], [1, 2, 3, 4, 5], 2),
        ([1, 2, 3, 4, 5], [3, 4, 5], 2),
        ([7, 1, 7, 1, 7], [8, 1, 8, 1, 8], 3),
        ([1, 1, 2, 2, 3], [1, 2, 3], 2),
        ([], [1, 2, 3, 4, 5, 6], 6),
    ],
)
def test_each_place_counts_at_least_once_and_by_its_length(
    first: list[int], second: list[int], expected: int
) -> None:
    assert num_different(first, second) == num_different(second, first) == expected
