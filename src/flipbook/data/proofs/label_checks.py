"""In what does an encoded conversation differ from what it must be?

    Case  ->  CHECKS: what must be true -> Finding: what is wrong, or what was counted

A fault names the turn (from 1) and the token (from 0), and shows both sides as text.

To add a check: a function from a `Case` to a `Finding`, and a line in `CHECKS`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from flipbook.data.labels.tokens import IGNORE_INDEX
from flipbook.data.proofs.expected_text import ExpectedAnswer, ExpectedText
from flipbook.data.proofs.token_roles import (
    TokenRole,
    bytes_of_tokens,
    readable,
    spell_text,
    spell_tokens,
)
from flipbook.data.templates.template import special_pattern

_NUM_BYTES_BEFORE = 24  # shown of two texts, before and from the place where they differ
_NUM_BYTES_FROM = 24
_NUM_TOKENS_BEFORE = 4
_WHOSE: dict[TokenRole, str] = {
    "system": "the system turn's",
    "user": "the user's",
    "template": "the template's",
    "assistant": "outside of the answers",
    "?": "in no answer",
}


class Finding(NamedTuple):
    """What a check found: `fault` is empty where nothing is wrong, and `counted` is told then."""

    fault: str = ""
    counted: str = ""


class CheckedAnswer(NamedTuple):
    """An answer: how it must read, what inference reads before it, and where its end token is.

    `end` is -1 where no such token comes after the prompt.
    """

    expected: ExpectedAnswer
    prompt_ids: list[int]
    end: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """All that the checks of one conversation look at.

    Attributes:
        ids, labels: what will be learned.
        tokenizer: which made them.
        image_token_id: stands for a part of a frame.
        expected: what transformers renders.
        prompts: what inference reads before each answer.
        roles: who says each token.
        num_features: which the media give.
    """

    ids: list[int]
    labels: list[int]
    tokenizer: Any
    image_token_id: int
    expected: ExpectedText
    prompts: tuple[list[int], ...]
    roles: list[TokenRole]
    num_frames: int
    num_features: int

    @cached_property
    def words(self) -> list[bytes]:
        """What each token spells."""
        return bytes_of_tokens(self.ids, self.tokenizer)

    @cached_property
    def answers(self) -> tuple[CheckedAnswer, ...]:
        """The answers in order."""
        end_id = self.tokenizer.eos_token_id
        return tuple(
            CheckedAnswer(expected, prompt, _place_of(end_id, self.ids, start=len(prompt)))
            for expected, prompt in zip(self.expected.answers, self.prompts, strict=True)
        )


def _place_of(token_id: int, ids: Sequence[int], *, start: int) -> int:
    return next((place for place in range(start, len(ids)) if ids[place] == token_id), -1)


def placeholders_are_features(case: Case) -> Finding:
    """Hold the places for frames against what the media give."""
    num_places = case.ids.count(case.image_token_id)
    counted = (
        f"there are {num_places} placeholders and {case.num_features} features, of "
        f"{case.num_frames} frames"
    )
    return Finding(fault="" if num_places == case.num_features else counted, counted=counted)


def prompts_are_those_of_inference(case: Case) -> Finding:
    """Hold all that comes before and with each answer against inference and transformers."""
    for answer in case.answers:
        prompt, end = answer.prompt_ids, answer.end
        fault = _id_difference(case, prompt)
        if not fault:
            wanted = answer.expected.prompt + answer.expected.words + answer.expected.end
            fault = _text_difference(case, wanted, end=end + 1 if end >= 0 else len(case.ids))
        if fault:
            return Finding(fault=f"turn {answer.expected.turn}: {fault}")
    fault = _text_difference(case, case.expected.whole, end=len(case.ids))
    return Finding(
        fault=f"after the last answer: {fault}" if fault else "",
        counted=f"{_times(len(case.prompts), 'prompt')}, the last of "
        f"{len(case.prompts[-1])} tokens",
    )


def typed_tokens_stay_text(case: Case) -> Finding:
    """Count each special token, and how often the template writes it."""
    written = Counter(special_pattern(case.tokenizer).findall(case.expected.bare))
    added = case.tokenizer.added_tokens_decoder
    found = Counter(case.ids)
    for token_id, token in added.items():
        is_counted = token.special or token.content in written
        if token_id == case.image_token_id or not is_counted:
            continue
        if found[token_id] != written[token.content]:
            return Finding(
                fault=f"{token.content!r} is a token {_times(found[token_id], 'time')}, and the "
                f"template writes it {_times(written[token.content], 'time')}"
            )
    return Finding(counted=f"{written.total()} written by the template")


def ends_are_learned(case: Case) -> Finding:
    """Look for the token after each answer at which generation will stop."""
    end_token, end_id = case.tokenizer.eos_token, case.tokenizer.eos_token_id
    for answer in case.answers:
        fault = ""
        if not answer.expected.end:
            fault = f"the template does not end the answer with {end_token!r}"
        elif answer.end < 0:
            fault = f"no {end_token!r} comes after the prompt"
        elif case.labels[answer.end] != end_id:
            fault = f"token {answer.end}, the {end_token!r} that ends the answer, is not learned"
        if fault:
            return Finding(fault=f"turn {answer.expected.turn}: {fault}")
    return Finding(counted=f"{end_token!r} ({end_id}), {_times(len(case.answers), 'time')}")


def answers_are_learned(case: Case) -> Finding:
    """Hold what is learned of each answer against its words and its end."""
    for place, (label, token_id) in enumerate(zip(case.labels, case.ids, strict=True)):
        if label not in (IGNORE_INDEX, token_id):
            (learned,) = bytes_of_tokens([label], case.tokenizer)
            return Finding(
                fault=f"token {place} is {readable(case.words[place])} and is learned as "
                f"{readable(learned)}"
            )
    num_tokens = 0
    for answer in case.answers:
        places = _places_of(answer, case)
        learned_words = [case.words[place] for place in places if _is_learned(case, place)]
        found = spell_tokens(learned_words, case.tokenizer)
        wanted = spell_text(answer.expected.words + answer.expected.end, case.tokenizer)
        if found != wanted:
            return Finding(
                fault=f"turn {answer.expected.turn}: {_difference(found, wanted, sides=_LEARNED)}"
            )
        num_tokens += len(learned_words)
    return Finding(
        counted=f"{_times(num_tokens, 'token')} of {_times(len(case.answers), 'answer')}"
    )


def nothing_else_is_learned(case: Case) -> Finding:
    """Look for learned tokens that are no answer's."""
    allowed = {place for answer in case.answers for place in _places_of(answer, case)}
    num_learned = 0
    for place, role in enumerate(case.roles):
        if not _is_learned(case, place):
            continue
        num_learned += 1
        is_visual = case.ids[place] == case.image_token_id
        if is_visual or role != "assistant" or place not in allowed:
            whose = "a frame's" if is_visual else _WHOSE[role]
            return Finding(
                fault=f"token {place}, {readable(case.words[place])}, is {whose} and is learned"
            )
    return Finding(counted=f"{num_learned} of {len(case.ids)} tokens are learned")


CHECKS: dict[str, Callable[[Case], Finding]] = {
    "every placeholder has its feature": placeholders_are_features,
    "prompt and answer are what inference reads, byte for byte": prompts_are_those_of_inference,
    "special tokens are the template's, typed ones stay text": typed_tokens_stay_text,
    "the token that ends an answer is learned": ends_are_learned,
    "the words of every answer are learned": answers_are_learned,
    "no token of user, system turn, template or frame is learned": nothing_else_is_learned,
}


def _places_of(answer: CheckedAnswer, case: Case) -> range:
    return range(len(answer.prompt_ids), answer.end + 1 if answer.end >= 0 else len(case.ids))


def _is_learned(case: Case, place: int) -> bool:
    return case.labels[place] != IGNORE_INDEX


def _id_difference(case: Case, prompt: list[int]) -> str:
    """Return where training departs from a prompt of inference; empty where it does not."""
    place = len(os.path.commonprefix([case.ids, prompt]))
    if place == len(prompt):
        return ""
    before = b"".join(case.words[max(0, place - _NUM_TOKENS_BEFORE) : place])
    trained = _shown(case.ids[place : place + 1], case.tokenizer)
    asked = _shown(prompt[place : place + 1], case.tokenizer)
    return (
        f"after {readable(before)} training reads {trained} as token {place}, and inference {asked}"
    )


def _shown(ids: Sequence[int], tokenizer: Any) -> str:
    if not ids:
        return "nothing"
    return f"{readable(bytes_of_tokens(ids, tokenizer)[0])} ({ids[0]})"


_READ = ("training reads", "transformers renders")
_LEARNED = ("learned is", "the answer is")


def _text_difference(case: Case, wanted: str, *, end: int) -> str:
    found = spell_tokens(case.words[:end], case.tokenizer)
    rendered = spell_text(wanted, case.tokenizer)
    return "" if found == rendered else _difference(found, rendered, sides=_READ)


def _difference(found: bytes, wanted: bytes, *, sides: tuple[str, str]) -> str:
    """Return two texts from a little before the place where they differ."""
    place = len(os.path.commonprefix([found, wanted]))
    window = slice(max(0, place - _NUM_BYTES_BEFORE), place + _NUM_BYTES_FROM)
    ours, theirs = sides
    return f"{ours} {_excerpt(found, window)}, and {theirs} {_excerpt(wanted, window)}"


def _excerpt(text: bytes, window: slice) -> str:
    before = "... " if window.start else ""
    after = " ..." if len(text) > window.stop else ""
    return before + repr(text[window].decode(errors="replace")) + after


def _times(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
