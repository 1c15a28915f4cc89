"""What is a row called that has the id of an earlier one?

    ids of all rows, in order   a, a, a#2, a, b
    ->  names, no two equal     a, a#2, a#2#2, a#3, b

The names of a million rows are not kept: of each different id there are 20 bytes in memory, its
hash, and how many names begin with it. Two ids that share a 64-bit hash would be taken for one,
and the second would get a number that it does not need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

_NUMBERED = re.compile(r"(.*)#([1-9][0-9]*)", re.DOTALL)


class RecordIds:
    """Gives each row a name of its own.

    Args:
        ids: of all rows, in order, as often as they occur.

    Attributes:
        num_rows: how many that are.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        hashes = np.fromiter(map(text_hash, ids), dtype=np.uint64)
        self.num_rows = len(hashes)
        self._hashes: NDArray[np.uint64] = np.unique(hashes)
        # Of each id how many names are taken: none, the id, the id and id#2, ...
        self._num_names: NDArray[np.int32] = np.zeros(len(self._hashes), dtype=np.int32)

    def __contains__(self, row_id: str) -> bool:
        return self._place(row_id) is not None

    def name(self, row_id: str) -> str:
        """Return a name that no earlier row has; to be asked once for each row, in order."""
        place = self._place(row_id)
        if place is None:
            raise ValueError(f"{row_id!r} is none of the ids that were given")
        if not self._is_taken(row_id):
            self._num_names[place] = 1
            return row_id
        number = max(int(self._num_names[place]), 1) + 1
        while self._is_taken(f"{row_id}#{number}"):
            number += 1
        self._num_names[place] = number
        return f"{row_id}#{number}"

    def _is_taken(self, name: str) -> bool:
        place = self._place(name)
        if place is not None and self._num_names[place] > 0:
            return True
        parts = _NUMBERED.fullmatch(name)
        if parts is None:
            return False
        stem = self._place(parts[1])
        return stem is not None and 2 <= int(parts[2]) <= int(self._num_names[stem])

    def _place(self, row_id: str) -> int | None:
        number = np.uint64(text_hash(row_id))
        place = int(self._hashes.searchsorted(number))
        is_known = place < len(self._hashes) and self._hashes[place] == number
        return place if is_known else None


def text_hash(text: str) -> int:
    """Return 64 bits by which a text is told from others, also one that cannot be written down."""
    return xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))
