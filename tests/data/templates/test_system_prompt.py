"""A saved system prompt: any program that renders the template says it, and only once."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import TemplateError

from flipbook.data.labels.conversation import encode_prompt
from flipbook.data.templates.system_prompt import (
    refusing_clips,
    with_system_prompt,
    without_system_prompt,
)
from flipbook.data.templates.template import Template
from flipbook.data.templates.texts import FASTVLM_CHAT_TEMPLATE
from flipbook.data.turns import Turn

PLAIN = Template(FASTVLM_CHAT_TEMPLATE, wants_parts=False)
PARTS = Template(
    "{%- for message in messages -%}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{%- for part in message['content'] -%}{{ part['text'] }}{%- endfor -%}"
    "{{ '<|im_end|>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}",
    wants_parts=True,
)
PROMPTS = [
    "Be brief.",
    "",
    'It\'s "quoted", {{ not }} {% code -%}\n{#- nor this -#}\nand \\n no line break',
    "käse 😀 \u2028 \x07 '''",
]


def rendered(tokenizer: Any, template: str, *messages: dict[str, Any]) -> str:
    return str(
        tokenizer.apply_chat_template(
            list(messages), chat_template=template, tokenize=False, add_generation_prompt=True
        )
    )


@pytest.mark.parametrize("template", [PLAIN, PARTS], ids=["strings", "parts"])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_template_says_it_as_training_does(
    qwen_tokenizer: Any, template: Template, prompt: str
) -> None:
    text = with_system_prompt(template, prompt)
    content: Any = [{"type": "text", "text": "Hi"}] if template.wants_parts else "Hi"
    trained = encode_prompt(
        [Turn("user", ("Hi",))],
        tokenizer=qwen_tokenizer,
        image_token_id=151646,
        frames_per_media=[],
        tokens_per_frame=1,
        system_prompt=prompt,
        chat_template=template.text,
    )
    said = rendered(qwen_tokenizer, text, {"role": "user", "content": content})
    assert said == qwen_tokenizer.decode(trained)
    assert said.startswith(f"<|im_start|>system\n{prompt}<|im_end|>\n")


def test_a_conversation_with_a_system_turn_keeps_its_own(qwen_tokenizer: Any) -> None:
    turns = ({"role": "system", "content": "Own."}, {"role": "user", "content": "Hi"})
    text = with_system_prompt(PLAIN, "Be brief.")
    assert rendered(qwen_tokenizer, text, *turns) == rendered(qwen_tokenizer, PLAIN.text, *turns)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_line_comes_off_again_and_never_nests(prompt: str) -> None:
    once = with_system_prompt(PLAIN, prompt)
    assert without_system_prompt(once) == PLAIN.text
    assert with_system_prompt(Template(once, wants_parts=False), prompt) == once
    assert with_system_prompt(Template(once, wants_parts=False), None) == PLAIN.text


def test_a_template_without_the_line_stays_as_it_is() -> None:
    assert without_system_prompt(PLAIN.text) == PLAIN.text
    assert with_system_prompt(PLAIN, None) == PLAIN.text


def test_a_template_that_drops_clips_refuses_them_instead(qwen_tokenizer: Any) -> None:
    words = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    clip = {"role": "user", "content": [{"type": "video", "path": "a.mp4"}, *words["content"]]}
    silent = PARTS.text
    assert "Hi" in rendered(qwen_tokenizer, silent, clip)
    guarded = refusing_clips(with_system_prompt(PARTS, "Be brief."), qwen_tokenizer)
    with pytest.raises(TemplateError, match="a video has no place here: give one image per frame"):
        rendered(qwen_tokenizer, guarded, clip)
    assert rendered(qwen_tokenizer, guarded, words) == rendered(
        qwen_tokenizer, with_system_prompt(PARTS, "Be brief."), words
    )
    assert without_system_prompt(guarded) == silent


def test_a_template_that_refuses_clips_already_stays_as_it_is(qwen_tokenizer: Any) -> None:
    assert refusing_clips(PLAIN.text, qwen_tokenizer) == PLAIN.text
