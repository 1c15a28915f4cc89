"""How large would that become which a chat template is about to make?

value -> letters and entries in it, or an error beyond a limit
operator, filter, values -> what it gives, or an error before it is made
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2.exceptions import SecurityError

_MOST_BITS = 1024  # of a whole number
_MOST_INDENT = 16
_ENTRY_LETTERS = 16  # as many as an entry of a list counts for
_MOST_LETTERS = 1 << 22  # of what a filter makes


def measure(value: Any, *, most: int) -> int:
    """Return how many letters and entries a value has, those that it shows twice counted twice.

    Raises:
        SecurityError: they are more than `most`.
    """
    if isinstance(value, str) and len(value) <= most:
        return len(value)
    size = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        size += len(item) if isinstance(item, str) else _ENTRY_LETTERS
        if isinstance(item, Mapping):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple, set, frozenset)):
            waiting += item
        if size + _ENTRY_LETTERS * len(waiting) > most:
            raise SecurityError(f"it makes something of more than {most:,} letters")
    return size


def refuse_growth(operator: str, left: Any, right: Any, *, most: int) -> None:
    """Refuse an operation whose result would be too large.

    Raises:
        SecurityError: it would be, or formats a text.
    """
    if operator == "%" and isinstance(left, str):
        raise SecurityError("it formats a text by %, which is not allowed; it may join texts by ~")
    if operator == "+":
        measure([left, right], most=most)
    elif operator in ("*", "**") and isinstance(left, int) and isinstance(right, int):
        power = operator == "**"
        bits = left.bit_length() * abs(right) if power else left.bit_length() + right.bit_length()
        if bits > _MOST_BITS:
            raise SecurityError(f"it makes a number of about {bits:,} bits")
    elif operator == "*":
        times = next((side for side in (left, right) if isinstance(side, int)), 1)
        parts = [side for side in (left, right) if not isinstance(side, int)]
        if measure(parts, most=most) * max(times, 0) > most:
            raise SecurityError(f"it makes something of more than {most:,} letters")


def _replace(text: str, old: str, new: str, count: int | None = None) -> str:
    text, old, new = str(text), str(old), str(new)
    found = text.count(old) if count is None or count < 0 else min(count, text.count(old))
    _refuse(len(text) + found * len(new))
    return text.replace(old, new, found)


def _join(values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    if attribute is not None:
        values = [value.get(attribute, "") for value in values if isinstance(value, Mapping)]
    texts = []
    room = _MOST_LETTERS
    for value in values:
        room -= measure(value, most=max(room, 1)) + len(separator)
        _refuse(_MOST_LETTERS - room)
        texts.append(str(value))
    return str(separator).join(texts)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    space = width if isinstance(width, str) else " " * min(int(width), _MOST_INDENT)
    lines = str(text).splitlines()
    _refuse(len(text) + len(lines) * len(space))
    return "\n".join(
        space + line if (number or first) and (line or blank) else line
        for number, line in enumerate(lines)
    )


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    size = measure(value, most=_MOST_LETTERS)
    _refuse(size * sum(map(len, separators or ())))
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=None if indent is None else min(int(indent), _MOST_INDENT),
        separators=separators,
        sort_keys=sort_keys,
    )


def _refuse(num_letters: int) -> None:
    if num_letters > _MOST_LETTERS:
        raise SecurityError(f"a filter makes a text of more than {_MOST_LETTERS:,} letters")


GUARDED: dict[str, Callable[..., Any]] = {
    "replace": _replace,
    "join": _join,
    "indent": _indent,
    "tojson": _tojson,
}
