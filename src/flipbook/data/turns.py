"""What is a conversation made of, and which conversations can be learned from?

Media, text -> Turn; Turns -> checked Turns: [system,] user, assistant, user, assistant, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flipbook.errors import RecordError, did_you_mean
from flipbook.video.view import WHOLE, View

Role = Literal["system", "user", "assistant"]
MediaKind = Literal["image", "video"]

ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}


@dataclass(frozen=True)
class Media:
    """A picture or a clip that stands somewhere in a conversation.

    Attributes:
        kind: a clip that is a folder or a list of pictures is a video.
        path: absolute; of a list of pictures, the folder of the first.
        frames: the pictures of a clip where they are listed one by one; absolute paths.
        view: what of it is shown, and how.
    """

    kind: MediaKind
    path: str
    frames: tuple[str, ...] = ()
    view: View = WHOLE


@dataclass(frozen=True)
class Turn:
    """What one side says, in order. Text is literal, a typed `<image>` too."""

    role: Role
    parts: tuple[str | Media, ...]

    @property
    def text(self) -> str:
        """The words alone, without the media."""
        return "".join(part for part in self.parts if isinstance(part, str))

    @property
    def media(self) -> tuple[Media, ...]:
        """The pictures and clips alone, in order."""
        return tuple(part for part in self.parts if isinstance(part, Media))


def role_named(name: object, *, record_id: str) -> Role:
    """Return the role that a manifest calls `human`, `gpt`, `user`, `assistant` or `system`.

    Raises:
        RecordError: it is none of them.
    """
    if isinstance(name, str) and name in ROLES:
        return ROLES[name]
    raise RecordError(
        record_id,
        f"unknown role {name!r}; known are {', '.join(ROLES)}.{did_you_mean(str(name), ROLES)}",
    )


def check_turns(turns: Sequence[Turn], *, record_id: str, ends_with: Role = "assistant") -> None:
    """Check that a conversation can be learned from, or answered when `ends_with="user"`.

    Raises:
        RecordError: a role is unknown; a system turn is not the first; user and assistant do not
            take turns, beginning with user; the last turn is not `ends_with`; an answer is blank;
            a question is blank and shows nothing; media stand in a turn that is not the user's.
    """
    for turn in turns:
        role_named(turn.role, record_id=record_id)
    spoken = turns[1:] if turns and turns[0].role == "system" else turns
    if not spoken:
        raise RecordError(record_id, "the conversation is empty; it needs a question and an answer")
    num_skipped = len(turns) - len(spoken)
    for number, turn in enumerate(spoken):
        expected: Role = "assistant" if number % 2 else "user"
        if turn.role != expected:
            raise RecordError(
                record_id,
                f"turn {number + num_skipped + 1} is of {turn.role} where {expected} is expected; "
                "a conversation is an optional system turn, then user and assistant in turns",
            )
        _check_content(turn, number + num_skipped + 1, record_id)
    if num_skipped and turns[0].media:
        raise RecordError(record_id, "the system turn holds media; move them to a user turn")
    if spoken[-1].role != ends_with:
        missing = "has no answer; add one" if ends_with == "assistant" else "is already answered"
        raise RecordError(record_id, f"the last {spoken[-1].role} turn {missing}")


def _check_content(turn: Turn, number: int, record_id: str) -> None:
    if turn.role == "assistant" and turn.media:
        raise RecordError(
            record_id, f"turn {number}, an answer, holds media; answers are words only"
        )
    if not turn.text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in turn.text):
        raise RecordError(
            record_id, f"turn {number} holds half of a character (a lone surrogate); mend the text"
        )
    if turn.text.strip() or turn.media:
        return
    what = "answer" if turn.role == "assistant" else "question"
    raise RecordError(record_id, f"turn {number} is a blank {what}; write it or remove the record")
