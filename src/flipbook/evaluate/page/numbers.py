"""How is a number written in a report?

0.51249             ->  "0.512"             a score: always three decimals, never percent
0.51249, 0.4, 0.6   ->  "0.512 [0.400, 0.600]"
0.0004              ->  "p < 0.001"
1234.5 (ms, tokens) ->  "1,234"             a quantity: about three digits
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

MINUS = "\u2212"
NOTHING = "\u2013"  # stands where there is no number
SMALLEST_P = 0.001
_BYTES = ("B", "kB", "MB", "GB", "TB")


def number(value: float | None) -> str:
    """Return a score, or a difference of two, with three decimals; a dash for None."""
    if value is None:
        return NOTHING
    text = f"{value:.3f}"
    if float(text) == 0:
        return "0.000"
    return text.replace("-", MINUS)


def signed(value: float | None) -> str:
    """Return a difference with its sign: `+0.120`."""
    text = number(value)
    return text if value is None or text == "0.000" or text.startswith(MINUS) else f"+{text}"


def interval(low: float, high: float) -> str:
    """Return an interval: `[0.400, 0.600]`, which no line break divides."""
    return f"[{number(low)},\u00a0{number(high)}]"


def with_interval(estimate: Mapping[str, Any], *, sign: bool = False) -> str:
    """Return `value [low, high]` of a mapping with these names; without bounds the value alone."""
    text = signed(estimate["value"]) if sign else number(estimate["value"])
    if "low" not in estimate or "high" not in estimate:
        return text
    return f"{text} {interval(estimate['low'], estimate['high'])}"


def p_in_words(p_value: float) -> str:
    """Return `p = 0.012`, or `p < 0.001`."""
    sign, bound = ("<", SMALLEST_P) if p_value < SMALLEST_P else ("=", p_value)
    return f"p\u00a0{sign}\u00a0{number(bound)}"


def quantity(value: float) -> str:
    """Return milliseconds, tokens, or any other amount, in about three digits: `1,234`, `12.3`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = 2 - math.floor(math.log10(abs(value)))
    if digits <= 0:
        return f"{value:,.0f}".replace("-", MINUS)
    if digits > 6:
        return f"{value:.3g}".replace("-", MINUS)
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".").replace("-", MINUS)


def in_bytes(num_bytes: float) -> str:
    """Return a size in the unit that fits: `1.5 GB`, in powers of 1000."""
    place = 0
    while num_bytes >= 1000 and place < len(_BYTES) - 1:
        num_bytes, place = num_bytes / 1000, place + 1
    return f"{num_bytes:.0f} B" if place == 0 else f"{num_bytes:.1f} {_BYTES[place]}"


def clock(time_s: float) -> str:
    """Return an instant as people read it: `2.75 s`, `1:02.75`, `1:00:00.50`."""
    minutes, seconds = divmod(round(time_s, 2), 60)
    if not minutes:
        return f"{seconds:.2f} s"
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:05.2f}" if hours else f"{minutes}:{seconds:05.2f}"


def in_words(name: str) -> str:
    """Return a name of a row, a kind or a measure without underscores.

    "recall_at_0_5"  ->  "recall at 0.5"
    """
    return re.sub(r"(?<=\d)_(?=\d)", ".", name).replace("_", " ")
