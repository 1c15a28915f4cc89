"""Which conversations can be learned from."""

from __future__ import annotations

import pytest

from flipbook.data.turns import Media, Turn, check_turns
from flipbook.errors import RecordError

CLIP = Media("video", "/clips/a.mp4")


def chat(*texts: str) -> tuple[Turn, ...]:
    """A clip, then user and assistant in turns."""
    roles = ("user", "assistant")
    turns = [Turn(roles[number % 2], (text,)) for number, text in enumerate(texts)]  # type: ignore[arg-type]
    return (Turn("user", (CLIP, *turns[0].parts)), *turns[1:])


def test_conversations_that_can_be_learned_from_or_answered() -> None:
    system = Turn("system", ("Be brief.",))
    for turns in (chat("Why?", "So."), chat("", "So."), chat("a", "b", "c", "d")):
        check_turns(turns, record_id="clip-7")
        check_turns((system, *turns), record_id="clip-7")
        check_turns(turns[:-1], record_id="clip-7", ends_with="user")
    with pytest.raises(RecordError, match="the last assistant turn is already answered"):
        check_turns(chat("a", "b"), record_id="clip-7", ends_with="user")


def test_words_and_media_of_a_turn() -> None:
    turn = Turn("user", ("See ", CLIP, "now"))
    assert (turn.text, turn.media) == ("See now", (CLIP,))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ((), "is empty"),
        ((Turn("user", ("Hi",)),), "has no answer"),
        ((Turn("assistant", ("Hi",)),), "turn 1 is of assistant where user is expected"),
        (chat("Hi", " \n"), "turn 2 is a blank answer"),
        (chat("Hi", "Yes", "Why?", ""), "turn 4 is a blank answer"),
        ((Turn("user", (" ",)), Turn("assistant", ("Yes",))), "turn 1 is a blank question"),
        ((*chat("Hi", "Yes"), Turn("assistant", ("No",))), "turn 3 is of assistant where user"),
        ((Turn("user", ("Hi",)), Turn("bot", ("Yes",))), "unknown role 'bot'"),  # type: ignore[arg-type]
        ((Turn("user", ("Hi",)), Turn("assistant", (CLIP, "Yes"))), "answers are words only"),
        ((Turn("system", (CLIP,)), *chat("Hi", "Yes")), "the system turn holds media"),
        (chat("Hi", "half \ud83c"), "lone surrogate"),
    ],
)
def test_what_is_no_conversation_is_refused_by_record(
    turns: tuple[Turn, ...], message: str
) -> None:
    with pytest.raises(RecordError, match=f"record clip-7: .*{message}"):
        check_turns(turns, record_id="clip-7")
