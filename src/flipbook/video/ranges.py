"""Which numbers may a setting be?

    a value, a Range -> nothing, or an ArgumentError that says what to give

A Range says whether the number is whole, the least and the most that it may be, and whether these
two are among them. No number is NaN or infinite, except where its Range says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from flipbook.errors import ArgumentError


@dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers from `least` to `most`.

    Attributes:
        is_whole: whether fractions are left out.
        least, most: the ends; there is no highest number where `most` is infinite.
        above_least, below_most: whether an end is itself left out.
        also: one more number, with a meaning of its own.
        may_be_infinite: whether infinity is meant as "no limit".
    """

    is_whole: bool = False
    least: float = 0
    most: float = math.inf
    above_least: bool = False
    below_most: bool = False
    also: float | None = None
    may_be_infinite: bool = False

    def has(self, value: object) -> bool:
        """Return whether a value is a number of this range."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if self.is_whole and not isinstance(value, int):
            return False
        if value == self.also:
            return True
        if math.isinf(value) and not self.may_be_infinite:
            return False
        begins = value > self.least if self.above_least else value >= self.least  # not for NaN
        return begins and (value < self.most if self.below_most else value <= self.most)

    def told(self) -> str:
        """Return it in words.

        "a whole number of 1 or more"    "a number above 0 and below 0.5"    "a number from 0 to 1"
        """
        kind = "a whole number" if self.is_whole else "a number"
        least, most = _told(self.least), _told(self.most)
        end = f" and below {most}" if self.below_most else f" to {most}"
        if self.most == math.inf:
            start = f"above {least}" if self.above_least else f"of {least} or more"
            end = ""
        else:
            start = f"above {least}" if self.above_least else f"from {least}"
        also = "" if self.also is None else f", or {_told(self.also)}"
        return f"{kind} {start}{end}{also}"

    def check(self, name: str, value: object) -> None:
        """Check that a value is a number of this range.

        Args:
            name: of the setting, as the message has it.

        Raises:
            ArgumentError: it is not.
        """
        if not self.has(value):
            is_finite = not isinstance(value, float) or math.isfinite(value)
            why = "" if is_finite else ", which is no finite number"
            raise ArgumentError(f"{name} is {value!r}{why}: give {self.told()}.")


def _told(number: float) -> str:
    """Return a number in few letters: 0, 0.5, 100,000."""
    return f"{int(number):,}" if math.isfinite(number) and number == int(number) else f"{number:g}"
