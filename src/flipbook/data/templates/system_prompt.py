"""How does a chat template say what a model was told, where a conversation does not?

    template, "Be brief."  ->  the template, with a line before it that adds the system turn
    such a template        ->  the template without that line
    a template that drops clips in silence  ->  one that refuses them

flipbook passes the system prompt of a model as a turn of the conversation. Programs that know only
the template get it from this line, which works before any template. It is taken off when a folder
is loaded, so that it is never there twice and a new prompt takes the old one's place.
"""

from __future__ import annotations

import json
import re
from typing import Any

from jinja2 import TemplateError

from flipbook.data.templates.template import Template

_MARK = "{#- the system turn of conversations that have none -#}"
_NO_CLIPS_MARK = "{#- clips need flipbook's processor -#}"
_NO_CLIPS = (
    f"{_NO_CLIPS_MARK}{{%- for message in messages if message['content'] is not string -%}}"
    "{%- for part in message['content'] if part['type'] == 'video' -%}"
    "{{- raise_exception('a video has no place here: give one image per frame') -}}"
    "{%- endfor -%}{%- endfor -%}\n"
)
_LINES = re.compile(f"(?:(?:{re.escape(_MARK)}|{re.escape(_NO_CLIPS_MARK)}).*?-%}}\n)+")


def with_system_prompt(template: Template, system_prompt: str | None) -> str:
    """Return the text of a template that gives conversations without a system turn this one.

    None leaves the template's own default in place.
    """
    text = without_system_prompt(template.text)
    if system_prompt is None:
        return text
    # JSON's escapes are Jinja's too, but for characters beyond 16 bits, which stay as they are. An
    # end of the line or of the block inside the words would end the line for `_LINES`.
    words = json.dumps(system_prompt, ensure_ascii=False).replace("%", "\\u0025")
    content = f"[{{'type': 'text', 'text': {words}}}]" if template.wants_parts else words
    turn = f"[{{'role': 'system', 'content': {content}}}]"
    has_one = "messages and messages[0]['role'] == 'system'"
    return f"{_MARK}{{%- set messages = messages if {has_one} else {turn} + messages -%}}\n{text}"


def without_system_prompt(text: str) -> str:
    """Return the text of a template without the lines that this module puts before it."""
    lines = _LINES.match(text)
    return text[lines.end() :] if lines else text


def refusing_clips(text: str, tokenizer: Any) -> str:
    """Return the text of a template that raises an error for a clip, as it may do already.

    Programs without flipbook pass clips on to the template, and most templates leave them out.
    """
    clip = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": ""}]}]
    try:
        tokenizer.apply_chat_template(clip, chat_template=text, tokenize=False)
    except TemplateError:
        return text
    return _NO_CLIPS + text
