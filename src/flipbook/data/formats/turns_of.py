"""How do the ways in which other programs write a conversation become messages?

    [{"from": "user", "value": "Why?"}]  with their names  ->  [{"role": "user", "content": "Why?"}]
    [["Why?", "Rain."]]                  pairs             ->  user, assistant
    row                                                    ->  what our own form knows of it

What a message may hold is not checked here but where rows are read (`readers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from flipbook.data.extras import CLIP_KEY, Extras
from flipbook.data.formats.asked import OwnRow, Row, Rows, read_each
from flipbook.data.formats.origin import Origin
from flipbook.data.parts import shown
from flipbook.data.readers import MEDIA_KEYS
from flipbook.data.records import id_of
from flipbook.data.turns import ROLES, Role
from flipbook.errors import RecordError, did_you_mean

Message = dict[str, Any]
_KEPT = (
    "id",
    CLIP_KEY,
    *Extras.__dataclass_fields__,
    *(key for keys in MEDIA_KEYS.values() for key in keys),
)


class Tags(NamedTuple):
    """Under which keys a program writes who speaks and what, and what it calls each side."""

    role_key: str
    content_key: str
    roles: Mapping[
        str, Role | None
    ]  # None for what cannot be learned from, such as a tool's answer


def own_rows(origin: Origin, make: Callable[[Row, str], Iterable[OwnRow]]) -> Rows:
    """Yield what a function makes of each row and its id, or why it makes nothing of it.

    Raises:
        ManifestError: the file cannot be read.
    """

    def with_id(row: Row, name: str) -> Iterator[OwnRow]:
        record_id = id_of(row, name)
        return ({"id": record_id} | own for own in make(row, record_id))

    return read_each(origin, with_id)


def kept_of(row: Row) -> dict[str, Any]:
    """Return the media of a row and what else our own form knows."""
    return {key: row[key] for key in _KEPT if row.get(key) is not None}


def message(role: Role, content: Any) -> Message:
    """Return one message."""
    return {"role": role, "content": content}


def read_tagged(turns: object, tags: Tags, *, key: str, record_id: str) -> list[Message]:
    """Return the messages that turns with other names say.

    Args:
        key: which holds the turns, for messages.

    Raises:
        RecordError: they are no list of objects with these names, or a role is unknown.
    """
    found = []
    for turn in _list_of(turns, key, record_id):
        if not isinstance(turn, dict):
            raise RecordError(record_id, f"a turn is {shown(turn)}; it must be an object")
        for name in (tags.role_key, tags.content_key):
            if name not in turn:
                raise RecordError(
                    record_id,
                    f"a turn has the keys {', '.join(turn) or '(none)'} and misses {name!r}; add it"
                    f".{did_you_mean(name, turn)}",
                )
        role = _role(turn[tags.role_key], tags.roles, record_id)
        found.append(message(role, turn[tags.content_key]))
    return found


def read_pairs(pairs: object, *, key: str, record_id: str) -> list[Message]:
    """Return the messages of a list of pairs: a question and its answer.

    Raises:
        RecordError: it is no list of pairs.
    """
    if pairs is None:
        return []
    found = []
    for pair in _list_of(pairs, key, record_id):
        if not isinstance(pair, list) or len(pair) != 2:
            raise RecordError(
                record_id, f"{key!r} holds {shown(pair)}; it must hold pairs: question and answer"
            )
        found += [message("user", pair[0]), message("assistant", pair[1])]
    return found


def with_system(system: object, messages: Iterable[Message]) -> list[Message]:
    """Return messages behind a system prompt, where there is one."""
    return [*([message("system", system)] if system else []), *messages]


def roles_of_everyone() -> dict[str, Role | None]:
    """Return all names that this package knows for the sides of a conversation."""
    return {**ROLES}


def _list_of(value: object, key: str, record_id: str) -> list[Any]:
    if isinstance(value, list) and value:
        return value
    raise RecordError(record_id, f"{key!r} must be a list of turns; it is {shown(value)}")


def _role(name: object, roles: Mapping[str, Role | None], record_id: str) -> Role:
    if not isinstance(name, str) or name not in roles:
        raise RecordError(
            record_id,
            f"unknown role {shown(name)}; known are {', '.join(roles)}."
            f"{did_you_mean(str(name), roles)}",
        )
    role = roles[name]
    if role is None:
        raise RecordError(
            record_id,
            f"a turn is of {name!r}; calls of tools cannot be learned from, so remove the record",
        )
    return role
