"""How do the relatives of messages say a conversation?

ms-swift   {"query": "Why?", "response": "Rain.", "history": [["Hi", "Hello"]], "videos": [..]}
           {"system": "..", "conversation": [{"human": "Why?", "assistant": "Rain."}]}
TRL        {"prompt": [..messages..] or "Why?", "completion": [..] or "Rain.", "images": [..]}
MiniCPM    {"conversations": [{"role": "user", "content": "Why?"}, ..], "image": "a.png"}
others     {"messages": [{"from": "human", "value": "Why?"}, ..]}

-> rows with `messages`
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flipbook.data.formats.asked import Row, Rows
from flipbook.data.formats.origin import Head, Origin
from flipbook.data.formats.turns_of import (
    Message,
    Tags,
    kept_of,
    message,
    own_rows,
    read_pairs,
    read_tagged,
    roles_of_everyone,
    with_system,
)
from flipbook.data.parts import shown
from flipbook.data.turns import Role
from flipbook.errors import RecordError

_TURNS_BY_KEY = {
    "conversations": Tags("role", "content", roles_of_everyone()),
    "messages": Tags("from", "value", roles_of_everyone()),
}


def is_query_response(head: Head) -> bool:
    """Return whether rows are those of ms-swift with `query` and `response`."""
    if {"query", "response"} <= head.keys:
        return bool({"history", "videos", "images", "system"} & head.any_keys)
    return "conversation" in head.keys and all(_is_list_of_pairs(row) for row in head.rows)


def read_query_response(origin: Origin) -> Rows:
    """Yield what rows of ms-swift say: history, question, answer.

    Raises:
        ManifestError: the file cannot be read.
    """
    return own_rows(origin, _of_query_response)


def is_prompt_completion(head: Head) -> bool:
    """Return whether rows are those of TRL."""
    return {"prompt", "completion"} <= head.keys


def read_prompt_completion(origin: Origin) -> Rows:
    """Yield what rows of TRL say: prompt and completion as one conversation.

    Raises:
        ManifestError: the file cannot be read.
    """
    return own_rows(origin, _of_prompt_completion)


def is_swapped(head: Head) -> bool:
    """Return whether turns have the names of LLaVA under the key of messages, or the reverse."""
    return any(_swapped_key(row) is not None for row in head.rows)


def read_swapped(origin: Origin) -> Rows:
    """Yield rows with the names that belong to their key.

    Raises:
        ManifestError: the file cannot be read.
    """
    return own_rows(origin, _of_swapped)


def _of_query_response(row: Row, record_id: str) -> Iterator[dict[str, Any]]:
    if "conversation" in row:
        said = [_pair_of(turn, record_id) for turn in _objects(row["conversation"], record_id)]
        messages = read_pairs(said, key="conversation", record_id=record_id)
    else:
        history = read_pairs(row.get("history") or None, key="history", record_id=record_id)
        for key in ("query", "response"):
            if row.get(key) is None:
                raise RecordError(record_id, f"has no {key!r}; add it or remove the row")
        asked, answered = row["query"], row["response"]
        messages = [*history, message("user", asked), message("assistant", answered)]
    yield {**kept_of(row), "messages": with_system(row.get("system"), messages)}


def _objects(value: object, record_id: str) -> list[Any]:
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    raise RecordError(record_id, f"'conversation' is {shown(value)}; it must be a list of objects")


def _pair_of(turn: Row, record_id: str) -> list[Any]:
    if "human" in turn and "assistant" in turn:
        return [turn["human"], turn["assistant"]]
    raise RecordError(
        record_id,
        f"a turn has the keys {', '.join(turn) or '(none)'}; 'human' and 'assistant' are needed",
    )


def _of_prompt_completion(row: Row, record_id: str) -> Iterator[dict[str, Any]]:
    messages = [
        *_side(row, "prompt", "user", record_id),
        *_side(row, "completion", "assistant", record_id),
    ]
    yield {**kept_of(row), "messages": messages}


def _side(row: Row, key: str, role: Role, record_id: str) -> list[Message]:
    value = row.get(key)
    if isinstance(value, str):
        return [message(role, value)]
    if isinstance(value, list) and value:
        return value
    raise RecordError(
        record_id, f"{key!r} is {shown(value)}; it must be text or a list of messages"
    )


def _of_swapped(row: Row, record_id: str) -> Iterator[dict[str, Any]]:
    key = _swapped_key(row)
    if key is None:  # a row of the usual kind among them
        yield {**row, "id": record_id}
        return
    turns = read_tagged(row[key], _TURNS_BY_KEY[key], key=key, record_id=record_id)
    yield {**kept_of(row), "messages": turns}


def _swapped_key(row: Row) -> str | None:
    """Return the key whose turns have the names that belong to the other one."""
    for key, tags in _TURNS_BY_KEY.items():
        turns = row.get(key)
        first = turns[0] if isinstance(turns, list) and turns else None
        if isinstance(first, dict) and {tags.role_key, tags.content_key} <= first.keys():
            return key
    return None


def _is_list_of_pairs(row: Row) -> bool:
    turns = row.get("conversation")
    return isinstance(turns, list) and all(
        isinstance(turn, dict) and "human" in turn for turn in turns
    )
