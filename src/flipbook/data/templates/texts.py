"""Which chat templates does flipbook bring along, for checkpoints that carry none?

One Jinja text for each way of speaking. A part of type `image` is a picture; `content` may also be
a plain string. `BROUGHT_ALONG` names each with the special tokens that it writes: where a
checkpoint carries no template that fits, the one whose tokens its tokenizer knows takes its place.
"""

from __future__ import annotations

from typing import NamedTuple

# What a turn says and shows, the same in every manner of speaking.
_CONTENT = """\
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'text' -%}
{{- part['text'] -}}
{%- elif part['type'] == 'image' -%}
{{- '<image>\\n' -}}
{%- else -%}
{{- raise_exception('a ' + part['type'] + ' has no place here: give one image per frame') -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
"""

# `qwen_2` of the FastVLM code: ChatML with a default system turn; a picture is `<image>\n`.
FASTVLM_CHAT_TEMPLATE = (
    """\
{%- for message in messages -%}
{%- if loop.first and message['role'] != 'system' -%}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
"""
    + _CONTENT
    + """\
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
)

# `v1` of LLaVA's code, as Vicuna speaks. LLaVA's tokenizer puts `<s>` first; here the template
# does. The space before an answer belongs to the answer: the prompt ends with `ASSISTANT:`.
V1_CHAT_TEMPLATE = (
    """\
{{- '<s>' -}}
{%- for message in messages -%}
{%- if loop.first and message['role'] != 'system' -%}
{{- 'A chat between a curious user and an artificial intelligence assistant. ' -}}
{{- 'The assistant gives helpful, detailed, and polite answers to the user\\'s questions. ' -}}
{%- endif -%}
{%- if message['role'] == 'user' -%}
{{- 'USER: ' -}}
{%- elif message['role'] == 'assistant' -%}
{{- 'ASSISTANT: ' -}}
{%- endif -%}
"""
    + _CONTENT
    + """\
{{- '</s>' if message['role'] == 'assistant' else ' ' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- 'ASSISTANT:' -}}
{%- endif -%}
"""
)


class KnownTemplate(NamedTuple):
    """A template with the special tokens that it writes; `title` stands in messages."""

    title: str
    text: str
    special_tokens: tuple[str, ...]


BROUGHT_ALONG = {
    "qwen_2": KnownTemplate("FastVLM's own", FASTVLM_CHAT_TEMPLATE, ("<|im_start|>", "<|im_end|>")),
    "v1": KnownTemplate("LLaVA's v1", V1_CHAT_TEMPLATE, ("<s>", "</s>")),
}
