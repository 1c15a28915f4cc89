"""How does a chat template say what a model was told, where a conversation does not?

    template, "Be brief."  ->  the template, with a line before it that adds the system turn
    such a template        ->  the template without that line

flipbook passes the system prompt of a model as a turn of the conversation. Programs that know only
the template get it from this line, which works before any template. It is taken off when a folder
is loaded, so that it is never there twice and a new prompt takes the old one's place.
"""

from __future__ import annotations

import json
import re

from flipbook.data.template import Template

_MARK = "{#- the system turn of conversations that have none -#}"
_LINE = re.compile(re.escape(_MARK) + r".*?-%}\n", re.DOTALL)


def with_system_prompt(template: Template, system_prompt: str | None) -> str:
    """Return the text of a template that gives conversations without a system turn this one.

    None leaves the template's own default in place.
    """
    text = without_system_prompt(template.text)
    if system_prompt is None:
        return text
    # JSON's escapes are Jinja's too, but for characters beyond 16 bits, which stay as they are. An
    # end of the line or of the block inside the words would end the line for `_LINE`.
    words = json.dumps(system_prompt, ensure_ascii=False).replace("%", "\\u0025")
    content = f"[{{'type': 'text', 'text': {words}}}]" if template.wants_parts else words
    turn = f"[{{'role': 'system', 'content': {content}}}]"
    has_one = "messages and messages[0]['role'] == 'system'"
    return f"{_MARK}{{%- set messages = messages if {has_one} else {turn} + messages -%}}\n{text}"


def without_system_prompt(text: str) -> str:
    """Return the text of a template without the line that `with_system_prompt` puts before it."""
    line = _LINE.match(text)
    return text[line.end() :] if line else text
