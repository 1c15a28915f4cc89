"""What does JSON text say, where it says it once and in numbers?

    '{"a": 1}'            ->  {"a": 1}
    '{"a": 1, "a": 2}'    ->  a BadRow: the same key twice, of which JSON readers keep the last
    'NaN', 5,000 digits   ->  a BadRow, for neither is a value that every reader has

Python's own reader takes all of these and says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_DIGITS = 4000  # Python itself refuses a little more than that


class BadRow(NamedTuple):
    """A row of a manifest that is no sound JSON; `reason` says why, without naming it."""

    reason: str


class StrictDecoder:
    """Decodes one value at a time and remembers what is unsound in it."""

    def __init__(self) -> None:
        self._faults: list[str] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_int=self._whole_number,
        )

    def raw_decode(self, text: str, position: int) -> tuple[Any, int]:
        """Return the value that begins at a place, or a BadRow, and where it ends.

        Raises:
            json.JSONDecodeError: it is no JSON.
            RecursionError: it is nested too deeply.
        """
        self._faults.clear()
        value, end = self._decoder.raw_decode(text, position)
        return (BadRow(self._faults[0]) if self._faults else value), end

    def decode(self, text: str) -> Any:
        """Return the value that a text is, or a BadRow; nothing is raised."""
        self._faults.clear()
        try:
            value = self._decoder.decode(text)
        except RecursionError:
            return BadRow("is nested too deeply; a row is an object with a few lists in it")
        except ValueError as error:
            return BadRow(f"is not JSON ({error}); mend the line or remove it")
        return BadRow(self._faults[0]) if self._faults else value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            self._faults.append(f"holds the key {twice[:80]!r} twice; keep one")
        return found

    def _constant(self, word: str) -> float:
        self._faults.append(f"holds {word}, which is no JSON; write a number or null")
        return 0.0

    def _whole_number(self, digits: str) -> int:
        if len(digits) > MOST_DIGITS:
            self._faults.append(f"holds a number of {len(digits):,} digits; write it as text")
            return 0
        return int(digits)


def json_line(row: Mapping[str, Any]) -> str:
    """Return an object as a line of JSONL, in letters where they can be written down."""
    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character, or the name of a file that is no text
        text = json.dumps(row)
    return text + "\n"
