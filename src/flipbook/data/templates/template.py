"""Which words of a rendered conversation come from the chat template, and which from the turns?

    roles -> Skeleton: segments around the contents of the turns
    "<|im_start|>user\\n" + content + "<|im_end|>\\n<|im_start|>assistant\\n" + content + ...

The template is rendered with a mark in place of each turn's content and cut at the marks. So its
special tokens are told from those that a user typed, and every token is known to be the template's,
a question's or an answer's before anything is tokenised.

A template is used for labels only if every content comes out once and in order, an answer begins
where the generation prompt ends (but for spaces), and a special token ends it. Of the templates in
circulation one fails: that of the community's FastVLM conversions drops plain strings and renders
`assistant\\n\\nA cat.` where it prompts with `assistant\\n`. A checkpoint that carries such a
template, or none, is read with the one of `BROUGHT_ALONG` whose special tokens its vocabulary has,
and is refused if it has those of none. A template that was named explicitly is never replaced.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError

from flipbook.data.templates.limits import render_limited
from flipbook.data.templates.texts import BROUGHT_ALONG
from flipbook.data.turns import Role
from flipbook.errors import CheckpointError

_PROBE_ROLES: tuple[Role, ...] = ("user", "assistant", "user", "assistant")
_logger = logging.getLogger("flipbook")


class TemplateMisfitError(Exception):
    """Labels cannot be made with a template; the message says why, without naming a record."""


@dataclass(frozen=True)
class Template:
    """A chat template, and whether it wants contents as typed parts instead of strings."""

    text: str
    wants_parts: bool


@dataclass(frozen=True)
class Skeleton:
    """What a template writes around the contents of turns.

    Attributes:
        segments: the template's text before each content, and after the last.
        leads: for each turn, the spaces between the generation prompt and the answer. The model
            writes them, so they belong to the answer; empty for other turns.
    """

    segments: tuple[str, ...]
    leads: tuple[str, ...]


def render(
    tokenizer: Any,
    template: Template,
    turns: Sequence[tuple[Role, str]],
    *,
    with_prompt: bool = False,
) -> str:
    """Return what the template makes of roles and contents.

    Raises:
        TemplateMisfitError: the template refuses them.
    """
    messages = [
        {
            "role": role,
            "content": [{"type": "text", "text": text}] if template.wants_parts else text,
        }
        for role, text in turns
    ]
    names = {"messages": messages, "tools": None, "documents": None}
    try:
        return render_limited(
            template.text,
            tokenizer.special_tokens_map | names | {"add_generation_prompt": with_prompt},
        )
    except TemplateError as error:
        raise TemplateMisfitError(f"it refuses the conversation ({error})") from error


def choose_template(tokenizer: Any, chat_template: str | None) -> Template:
    """Return the template to use: the one that is named, else the tokenizer's, else a known one.

    Raises:
        CheckpointError: labels cannot be made with it, and none of `BROUGHT_ALONG` may replace it.
    """
    if chat_template is not None:
        return _choose(tokenizer, chat_template, is_named=True, num_tokens=len(tokenizer))
    text = str(tokenizer.get_chat_template()) if tokenizer.chat_template is not None else ""
    return _choose(tokenizer, text, is_named=False, num_tokens=len(tokenizer))


@lru_cache(maxsize=64)
def _choose(tokenizer: Any, text: str, *, is_named: bool, num_tokens: int) -> Template:
    usable, reason = _fit(tokenizer, text) if text else (None, "it is empty")
    if usable is not None:
        return usable
    if is_named:
        raise CheckpointError(
            f"the chat template cannot be used for training: {reason}. Name another one."
        )
    for known in BROUGHT_ALONG.values():
        if all(special_pattern(tokenizer).fullmatch(token) for token in known.special_tokens):
            _logger.warning("chat template replaced by %s: %s", known.title, reason)
            return Template(known.text, wants_parts=False)
    cannot = " ".join(
        f"{known.title} cannot replace it: {' and '.join(known.special_tokens)} are not among the "
        f"{num_tokens} tokens."
        for known in BROUGHT_ALONG.values()
    )
    raise CheckpointError(
        f"the chat template of the checkpoint cannot be used for training: {reason}. {cannot} "
        "Use the original checkpoint's tokenizer files."
    )


@lru_cache(maxsize=1024)
def skeleton_of(tokenizer: Any, template: Template, roles: tuple[Role, ...]) -> Skeleton:
    """Return the skeleton of conversations in which these roles speak.

    Raises:
        TemplateMisfitError: an answer's tokens cannot be told from the template's.
    """
    marks = [f"\ue000Mark{number}\ue001" for number in range(len(roles))]
    turns = list(zip(roles, marks, strict=True))
    whole = render(tokenizer, template, turns)
    segments = []
    position = 0
    for role, mark in turns:
        start = whole.find(mark, position)
        if start < 0 or whole.count(mark) != 1:
            raise TemplateMisfitError(f"it drops, repeats or changes the words of a {role} turn")
        segments.append(whole[position:start])
        position = start + len(mark)
    segments.append(whole[position:])
    leads = [""] * len(roles)
    for number, role in enumerate(roles):
        if role == "assistant":
            prompt = render(tokenizer, template, turns[:number], with_prompt=True)
            leads[number] = _lead(whole[: whole.index(marks[number])], prompt)
            segments[number] = segments[number].removesuffix(leads[number])
            split_end(segments[number + 1], special_pattern(tokenizer))
    return Skeleton(tuple(segments), tuple(leads))


def split_end(segment: str, pattern: re.Pattern[str]) -> tuple[str, str]:
    """Return what closes an answer, up to and with its end token, and what is left of a segment.

    Raises:
        TemplateMisfitError: no special token ends the answer.
    """
    end = pattern.search(segment)
    if end is None or segment[: end.start()].strip():
        raise TemplateMisfitError(f"no special token ends an answer, which {segment!r} follows")
    return segment[: end.end()], segment[end.end() :]


def special_pattern(tokenizer: Any) -> re.Pattern[str]:
    """Return a pattern that finds every token which a tokenizer takes out of text as a whole."""
    return _special_pattern(tokenizer, len(tokenizer))


@lru_cache(maxsize=64)
def _special_pattern(tokenizer: Any, _num_tokens: int) -> re.Pattern[str]:
    contents = [token.content for token in tokenizer.added_tokens_decoder.values()]
    if not contents:
        raise CheckpointError(
            "the tokenizer has no special tokens, so no answer can end. "
            "Use the original checkpoint's tokenizer files."
        )
    return re.compile("|".join(re.escape(text) for text in sorted(contents, key=len, reverse=True)))


def _fit(tokenizer: Any, text: str) -> tuple[Template | None, str]:
    """Return the template with the form of content that suits it, or why none does."""
    reasons = []
    for wants_parts in (False, True):
        template = Template(text, wants_parts)
        try:
            skeleton_of(tokenizer, template, _PROBE_ROLES)
        except TemplateMisfitError as error:
            reasons.append(str(error))
        else:
            return template, ""
    return None, f"with plain strings, {reasons[0]}; with typed parts, {reasons[1]}"


def _lead(before_answer: str, prompt: str) -> str:
    lead = before_answer[len(prompt) :]
    if not before_answer.startswith(prompt) or lead.strip(" "):
        raise TemplateMisfitError(
            f"it prompts with {prompt[-20:]!r} but writes {before_answer[-20:]!r} before an answer"
        )
    return lead
