"""Where in a conversation do the media of a row stand?

turns with placeholders, media of the row  ->  Turns

"<video>\\nWhy?" and {"video": "a.mp4"}     ->  [a.mp4] "Why?"
"Why?"          and {"video": "a.mp4"}     ->  [a.mp4] "Why?"        before the first question
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from flipbook.data.parts import Part
from flipbook.data.placeholders import Placeholder
from flipbook.data.turns import Media, MediaKind, Role, Turn
from flipbook.errors import RecordError


class RawTurn(NamedTuple):
    """A turn whose placeholders still wait for their files."""

    role: Role
    parts: list[Part]


def place_media(
    turns: Sequence[RawTurn], columns: Mapping[MediaKind, list[Media]], record_id: str
) -> tuple[Turn, ...]:
    """Return turns with the media of the columns in place of the placeholders, in order.

    Raises:
        RecordError: placeholders and media do not match.
    """
    parts = [part for turn in turns for part in turn.parts]
    if not any(isinstance(part, Placeholder) for part in parts):
        waiting = [media for column in columns.values() for media in column]
        return _media_first(turns, [media for media in waiting if media not in parts], record_id)
    queues = _queues(parts, columns, record_id)
    return tuple(
        Turn(
            turn.role,
            tuple(
                next(queues[part.kind]) if isinstance(part, Placeholder) else part
                for part in turn.parts
            ),
        )
        for turn in turns
    )


def _media_first(
    turns: Sequence[RawTurn], waiting: list[Media], record_id: str
) -> tuple[Turn, ...]:
    """Return turns without placeholders, with the media that still wait before a question."""
    placed = [Turn(turn.role, tuple(_without_placeholders(turn.parts))) for turn in turns]
    if waiting and any(turn.media for turn in placed):
        raise RecordError(
            record_id,
            f"{waiting[0].path} stands in no turn, though other media do; give it a place too",
        )
    first = next((number for number, turn in enumerate(placed) if turn.role == "user"), None)
    if waiting and first is not None:
        placed[first] = Turn("user", (*waiting, *placed[first].parts))
    return tuple(placed)


def _without_placeholders(parts: Iterable[Part]) -> Iterable[str | Media]:
    return (part for part in parts if not isinstance(part, Placeholder))


def _queues(
    parts: Sequence[Part], columns: Mapping[MediaKind, list[Media]], record_id: str
) -> dict[MediaKind, Iterator[Media]]:
    """Return where the file of the next placeholder of each kind comes from.

    With one column filled, both kinds of placeholder take from it, since either key may hold a
    video. With two, each kind takes from its own.
    """
    wanted = Counter(part.kind for part in parts if isinstance(part, Placeholder))
    given = {kind: len(column) for kind, column in columns.items()}
    both_filled = all(given.values())
    fits = wanted == Counter(given) if both_filled else wanted.total() == sum(given.values())
    if not fits:
        raise RecordError(
            record_id,
            f"has placeholders for {_counted(wanted, columns)} and names "
            f"{_counted(given, columns)}; give each its own, or write words that are no "
            "placeholder as a part of type text in 'messages'",
        )
    if both_filled:
        return {kind: iter(column) for kind, column in columns.items()}
    shared = iter([media for column in columns.values() for media in column])
    return dict.fromkeys(columns, shared)


def _counted(counts: Mapping[MediaKind, int], kinds: Iterable[MediaKind]) -> str:
    return " and ".join(f"{counts.get(kind, 0)} {kind}(s)" for kind in kinds)
