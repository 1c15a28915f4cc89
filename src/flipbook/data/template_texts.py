"""Which chat templates does flipbook bring along, for checkpoints that carry none?

One Jinja text for each way of speaking. A part of type `image` is a picture; `content` may also be
a plain string.
"""

# `qwen_2` of the FastVLM code: ChatML with a default system turn; a picture is `<image>\n`.
FASTVLM_CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if loop.first and message['role'] != 'system' -%}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
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
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""
