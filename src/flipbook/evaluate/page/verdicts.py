"""Is an answer right, partly right, or wrong?

the value of an answer, 0 to 1  ->  one word
"""

from __future__ import annotations

RIGHT, PARTLY, WRONG = "right", "partly", "wrong"


def verdict_of(value: float) -> str:
    """Return `right` for 1, `wrong` for 0, `partly` between."""
    if value >= 1:
        return RIGHT
    return PARTLY if value > 0 else WRONG
